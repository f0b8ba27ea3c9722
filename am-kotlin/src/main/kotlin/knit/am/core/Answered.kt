package knit.am.core

import java.time.Instant

/** A request that may be repeated, and its answer but for what is the same in all of the containers it added. */
data class Answered(
  val requestId: String,
  val serviceName: String,
  val firstRank: Int,
  val count: Int,
  val firstOrdinal: Int,
  val revision: Int,
  val variant: Variant,
  val requestTime: Instant,
  val hasBegun: Boolean,
) {
  /** The containers as they were when they were added. */
  fun containers(): List<Container> = requested(serviceName, firstRank, count, firstOrdinal, revision, variant, requestTime, hasBegun)
}

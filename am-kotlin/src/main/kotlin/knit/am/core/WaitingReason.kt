package knit.am.core

import java.time.Instant

/** What containers wait for that are wanted and not there yet. */
enum class WaitingCause {
  CAPACITY,
  TOO_LARGE,
  REFUSED,
  RESOURCE_MANAGER,
  QUEUE_FULL,
  USER_LIMIT,
  LABEL,
  PLACEMENT,
  BACK_OFF,
  DEPENDENCY,
  GANG,
  TURN,
}

/** Where a reason is known from. */
enum class ReasonSource { APPLICATION_MASTER, HEARTBEAT, NODE_REPORT, QUEUE_REPORT, REFUSAL }

/** Why [count] containers of a service wait. */
data class WaitingReason(
  val serviceName: String,
  val count: Int,
  /** The size they wait with; null where that does not matter. */
  val resource: Resource?,
  val cause: WaitingCause,
  /** For people: the numbers that are known, and what to do. */
  val explanation: String,
  val since: Instant,
  /** Until when, where that is known. */
  val until: Instant? = null,
  val source: ReasonSource = ReasonSource.APPLICATION_MASTER,
  /** Whether it follows from what is known, or is the likeliest of several. */
  val isCertain: Boolean = true,
  /** The numbers, by name. */
  val facts: Map<String, String> = emptyMap(),
)

package knit.am.core

/**
 * How much is remembered of containers that have ended. Counts stay right whatever is forgotten, and a rank's latest
 * container is never forgotten.
 *
 * 100,000 ranks are some 90 MiB; the attempts before the latest and what the others said at their end add 20 MiB.
 */
internal data class Retention(
  /** Of each rank, how many attempts before its latest. */
  val attemptsPerRank: Int = 10,
  /** Of all ranks together, how many attempts before their latest. */
  val attempts: Int = 20_000,
  /** How many have all of [ContainerExit.diagnostics]; of those that ended earlier the last words are kept. */
  val diagnostics: Int = 1_000,
  /** How many leases that no container has any more are known again, should YARN grant them twice. */
  val leases: Int = MAX_CONTAINERS,
  /** How many requests can be repeated and are answered as before. */
  val answers: Int = 10_000,
  /** What these answers may hold beside what is the application's anyway: a fortieth of the smallest Application Master's heap. */
  val answerBytes: Long = 8L * 1024 * 1024,
  /** Of how many that were carried out before it is known that they were, so that they are not done twice: some 10 MiB. */
  val outdatedAnswers: Int = 20_000,
  /** What all keys of the store may count; see [knit.am.core.kv.KeyValue.bytes]. */
  val keyValueBytes: Long = MAX_KEY_VALUE_BYTES,
)

/** As a store of names and small results needs it: what is more is data, and belongs into files. */
internal const val MAX_KEY_VALUE_BYTES = 64L * 1024 * 1024

/** Keeps to [Retention], after a turn that may have gone beyond. */
internal fun Turn.forget() {
  val retention = application.retention
  // What is forgotten is added to them meanwhile.
  repeat(changes.size) { position ->
    val change = changes[position]
    // Also of the first attempt: it may end after others that were to take its place.
    if (change is ContainerChanged) {
      val place = change.container.key.place
      while (checkNotNull(application.slot(place)).isBeyond(retention.attemptsPerRank)) forgetOldest(place)
    }
  }
  while (application.index.followed.size > retention.attempts) forgetOldest(application.placeOfOldestAttempt() ?: break)
  application.index.unabridged
    .beyond(retention.diagnostics)
    .forEach { abridge(it.key) }
  application.index.pastLeases
    .beyond(retention.leases)
    .forEach { put(PastLeaseForgotten(it)) }
}

/** The first of these, where they are more than [limit]. */
private fun <E : Comparable<E>> Line<E>.beyond(limit: Int): List<E> = if (size > limit) take(size - limit) else emptyList()

private fun Slot.isBeyond(attempts: Int): Boolean = earlier.size > attempts && oldest.state.isFinal

/** Null where all that could be forgotten came after one that has not ended: a node is silent, and will be given up in time. */
private fun Application.placeOfOldestAttempt(): PlaceKey? =
  index.followed
    .firstOrNull {
      slot(it.key.place)?.oldest?.state?.isFinal == true
    }?.key
    ?.place

/** The oldest of its place, which is as a rule the one that ended first: a clock may go back. */
private fun Turn.forgetOldest(place: PlaceKey) {
  val slot = checkNotNull(application.slot(place))
  val oldest = slot.oldest
  put(ContainerForgotten(oldest.key))
  val known = slot.place ?: Place(place)
  when (oldest.state) {
    ContainerState.SUCCEEDED -> {
      put(PlaceChanged(known.copy(forgottenSucceeded = known.forgottenSucceeded + 1)))
    }

    ContainerState.STOPPED -> {
      put(PlaceChanged(known.copy(forgottenStopped = known.forgottenStopped + 1)))
    }

    else -> {}
  }
  oldest.lease?.let { put(LeasePassed(PastLease(it.containerId, sequence))) }
}

private fun Turn.abridge(key: ContainerKey) {
  val container = checkNotNull(application.container(key))
  val exit = checkNotNull(container.exit)
  put(ContainerAbridged(container.copy(exit = exit.copy(diagnostics = lastWords(exit.diagnostics).orEmpty()))))
}

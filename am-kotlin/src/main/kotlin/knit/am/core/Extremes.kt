package knit.am.core

import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.persistentHashMapOf
import java.time.Instant

/**
 * Of one service's ranks, what is told of the first or the most of them: a message about a service of 100,000 ranks must not look
 * at each. Immutable.
 */
internal data class Extremes(
  /** When those were wanted that wait for other services, or for the container before them. */
  val waiting: Bag<Instant> = Bag.empty(),
  /** When those were wanted that rest after a failure, and until when they do. */
  val resting: Bag<Instant> = Bag.empty(),
  val restUntil: Bag<Instant> = Bag.empty(),
  /** Until when those are held that are granted and wait for the others. */
  val heldUntil: Bag<Instant> = Bag.empty(),
  /** What ranks that are not retired have spent, by the number of their budget. */
  val spent: PersistentMap<Int, Bag<Spent>> = persistentHashMapOf(),
  /** How many ranks that are not retired are ready, by the revision of what fills them. */
  val readyByRevision: PersistentMap<Int, Int> = persistentHashMapOf(),
) {
  /** This with what waits at [slot] added or taken away. */
  fun waits(
    slot: Slot,
    sign: Int,
  ): Extremes {
    val latest = slot.latest
    val due = latest.dueTime
    return when {
      latest.state == ContainerState.HELD && due != null -> copy(heldUntil = heldUntil.moved(due, sign))
      latest.state != ContainerState.PENDING -> this
      due == null -> copy(waiting = waiting.moved(latest.requestTime, sign))
      else -> copy(resting = resting.moved(latest.requestTime, sign), restUntil = restUntil.moved(due, sign))
    }
  }

  /** This with what [slot] has spent added or taken away. */
  fun spends(
    slot: Slot,
    sign: Int,
  ): Extremes {
    val accounts = slot.place?.accounts.orEmpty()
    if (slot.isRetired || accounts.isEmpty()) return this
    val moved =
      accounts.entries.fold(spent) { all, (number, account) ->
        val bag = (all[number] ?: Bag.empty()).moved(Spent(account.spent, account.times.firstOrNull()), sign)
        if (bag.size == 0) all.remove(number) else all.put(number, bag)
      }
    return copy(spent = moved)
  }

  /** This with [slot] added or taken away as one that is ready. */
  fun readies(
    slot: Slot,
    sign: Int,
  ): Extremes {
    if (slot.isRetired || !slot.latest.isReady) return this
    val revision = slot.latest.revision
    val count = (readyByRevision[revision] ?: 0) + sign
    return copy(readyByRevision = if (count == 0) readyByRevision.remove(revision) else readyByRevision.put(revision, count))
  }

  private fun <E : Comparable<E>> Bag<E>.moved(
    element: E,
    sign: Int,
  ) = if (sign > 0) this + element else this - element

  companion object {
    val NONE = Extremes()
  }
}

/** What a rank has spent of a budget of its own; first who has spent most, and of those who remembers it longest. */
internal data class Spent(
  val count: Int,
  /** The first failure that counts; null where the budget forgets nothing. */
  val firstTime: Instant?,
) : Comparable<Spent> {
  override fun compareTo(other: Spent): Int {
    val byCount = other.count.compareTo(count)
    return if (byCount != 0) byCount else compareValues(other.firstTime, firstTime)
  }
}

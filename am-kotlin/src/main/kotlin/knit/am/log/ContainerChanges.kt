package knit.am.log

import knit.am.core.Application
import knit.am.core.Container
import knit.am.core.Slot
import kotlinx.collections.immutable.PersistentList
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock

/**
 * Which containers have changed, found once for all who want to know.
 *
 * Snapshots share what did not change, so two of them are compared by identity: a service without a change costs nothing,
 * one with a change a look at each of its places. What was found is kept for a while in a ring, and each reader has its own
 * place in it.
 */
internal class ContainerChanges(
  private val applications: StateFlow<Application>,
  private val capacity: Int = CAPACITY,
) {
  /** What a reader has to look at. */
  class News(
    val application: Application,
    /** Each as it is now; null for whoever has fallen behind the ring, and must look at all. */
    val changed: List<Container>?,
    /** Where to go on. */
    val position: Long,
  )

  private val lock = Mutex()
  private var last = applications.value
  private val ring = ArrayDeque<Container>()

  /** The position of the first in the ring. */
  private var first = 0L

  /** What has changed since [position]; all of it where that is null. */
  suspend fun since(position: Long?): News =
    lock.withLock {
      takeIn(applications.value)
      val end = first + ring.size
      val changed = if (position == null || position < first) null else ring.subList((position - first).toInt(), ring.size).toList()
      News(last, changed, end)
    }

  private fun takeIn(next: Application) {
    val before = last
    if (before === next) return
    last = next
    next.slots.forEach { (name, places) ->
      val old = before.slots[name]
      if (old !== places) places.forEachIndexed { rank, slot -> takeIn(old, rank, slot) }
    }
    while (ring.size > capacity) {
      ring.removeFirst()
      first++
    }
  }

  private fun takeIn(
    old: PersistentList<Slot>?,
    rank: Int,
    slot: Slot,
  ) {
    val before = old?.getOrNull(rank)
    if (before === slot) return
    // Of a place only the latest container may change; what came after it is new.
    val from = before?.latest?.key?.attemptNumber ?: 0
    var index = slot.attempts.size
    while (index > 0 && slot.attempts[index - 1].key.attemptNumber >= from) index--
    while (index < slot.attempts.size) ring.addLast(slot.attempts[index++])
  }

  private companion object {
    /** A turn of the largest application there can be, and more: a few megabytes at most, for the containers are there anyway. */
    const val CAPACITY = 100_000
  }
}

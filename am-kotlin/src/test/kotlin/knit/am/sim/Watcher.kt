package knit.am.sim

import knit.am.ChangeFeed
import knit.am.FellBehindException
import knit.am.bytes
import knit.am.core.Application
import knit.am.core.ChangeSet
import knit.am.core.assertToldOf
import knit.am.core.with
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse

/** A change feed that is soon full, and beside it a record of how large each turn was. */
internal class ModelFeed(
  initial: Application,
) {
  private class Size(
    val changes: Int,
    val bytes: Long,
  )

  private val first = initial.sequence + 1
  private val sizes = ArrayList<Size>()

  /** What there was in all, kept or not. */
  val turns: Int get() = sizes.size
  val changed: Int get() = sizes.sumOf { it.changes }
  val bytes: Long get() = sizes.sumOf { it.bytes }
  val changes = ChangeFeed(initial.sequence, MAX_TURNS, MAX_CHANGES, MAX_BYTES)

  fun append(turn: ChangeSet) {
    sizes += Size(turn.changes.size, turn.bytes)
    changes.append(listOf(turn))
  }

  /** Whether all that came after the turn [after] has room in the feed. */
  fun isKept(after: Long): Boolean {
    val later = sizes.subList((after + 1 - first).toInt(), sizes.size)
    return later.size <= MAX_TURNS && later.sumOf { it.changes } <= MAX_CHANGES && later.sumOf { it.bytes } <= MAX_BYTES
  }

  private companion object {
    const val MAX_TURNS = 24
    const val MAX_CHANGES = 40
    const val MAX_BYTES = 8_000L
  }
}

/** Knows the application from a list of it and what the feed has told since, and lists again only where it must. */
internal class Watcher(
  private val feed: ModelFeed,
  private val scope: CoroutineScope,
  private val list: () -> Application,
  private val nowMillis: () -> Long,
) {
  private var known: Application? = null
  private var job: Job? = null
  private var pausedUntil = 0L

  /** Begins with a list, or goes on after what it has seen. */
  fun goOn() {
    if (job?.isActive == true) return
    val application = list()
    val after = (known ?: application.also { known = it }).sequence
    val since = feed.changes.since(after)
    assertEquals(feed.isKept(after), since != null, "whether what came after $after is kept")
    if (since != null) assertEquals((after + 1..application.sequence).toList(), since.map { it.sequence })
    job = scope.launch { watch() }
  }

  fun pause(millis: Long) {
    pausedUntil = nowMillis() + millis
  }

  fun stop() {
    job?.cancel()
  }

  /** Whoever watches undisturbed knows what there is. */
  fun checkUpToDate(application: Application) {
    if (job?.isActive == true) checkNotNull(known).assertToldOf(application)
  }

  private suspend fun watch() {
    while (true) {
      try {
        feed.changes.watch(checkNotNull(known).sequence).collect(::see)
      } catch (_: FellBehindException) {
        assertFalse(feed.isKept(checkNotNull(known).sequence), "nothing is gone after ${checkNotNull(known).sequence}")
        known = list()
      }
    }
  }

  private suspend fun see(turn: ChangeSet) {
    val before = checkNotNull(known)
    assertEquals(before.sequence + 1, turn.sequence, "the next turn")
    known = before.with(turn)
    while (nowMillis() < pausedUntil) delay(PAUSE_STEP_MILLIS)
  }

  private companion object {
    const val PAUSE_STEP_MILLIS = 50L
  }
}

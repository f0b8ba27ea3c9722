package knit.am

import knit.am.core.ChangeSet
import knit.am.core.ContainerChanged
import knit.am.core.NOW
import knit.am.core.after
import knit.am.core.completed
import knit.am.core.granted
import knit.am.core.id
import knit.am.core.registered
import knit.am.core.service
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import java.lang.ref.WeakReference

@OptIn(ExperimentalCoroutinesApi::class)
@Timeout(120)
class ChangeFeedTest {
  private val failed =
    checkNotNull(registered("worker" to service()).after(granted(1), completed(1, 1, "word ".repeat(100))).container(id(1)))

  /** A turn of [size] changes. */
  private fun turn(
    sequence: Long,
    size: Int = 1,
  ) = ChangeSet(sequence, NOW, List(size) { ContainerChanged(failed) })

  /** For a suspending function would keep it. */
  private fun appended(
    feed: ChangeFeed,
    sequence: Long,
  ) = turn(sequence).let {
    feed.append(listOf(it))
    WeakReference(it)
  }

  private fun List<ChangeSet>?.numbers() = this?.map { it.sequence }

  @Test
  fun aWatcherGetsWhatThereIsThenWhatComesAndMayBeginAhead() =
    runTest {
      val feed = ChangeFeed(10)
      feed.append((11L..13L).map { turn(it) })
      val seen = mutableListOf<Long>()
      val late = mutableListOf<Long>()
      backgroundScope.launch { feed.watch(after = 11).collect { seen += it.sequence } }
      backgroundScope.launch { feed.watch(after = 14).collect { late += it.sequence } }
      runCurrent()
      assertEquals(listOf(12L, 13L), seen)
      feed.append((14L..15L).map { turn(it) })
      runCurrent()
      assertEquals(listOf(12L, 13L, 14L, 15L), seen)
      assertEquals(listOf(15L), late)
      assertEquals(15L, feed.head.value)
    }

  @Test
  fun numbersHaveNoGap() {
    val feed = ChangeFeed(10)
    assertThrows<IllegalStateException> { feed.append(listOf(turn(12))) }
  }

  @Test
  fun theRingHasAMostOfTurnsOfChangesAndOfBytes() {
    val bytes = turn(1).bytes
    val feeds =
      listOf(
        ChangeFeed(0, maxTurns = 5) to 1,
        ChangeFeed(0, maxChanges = 10) to 2,
        ChangeFeed(0, maxBytes = 10 * bytes) to 2,
        ChangeFeed(0, maxBytes = 11 * bytes - 1) to 2,
      )
    for ((feed, size) in feeds) {
      for (number in 1L..100L) {
        feed.append(listOf(turn(number, size)))
        val kept = minOf(number, 5L)
        assertEquals((number - kept + 1..number).toList(), feed.since(number - kept).numbers())
        if (number > kept) assertNull(feed.since(number - kept - 1))
      }
    }
  }

  @Test
  fun aTurnThatIsLargerThanTheRingPassesThroughIt() =
    runTest {
      for (feed in listOf(ChangeFeed(0, maxChanges = 10), ChangeFeed(0, maxBytes = 10 * turn(1).bytes))) {
        feed.append(listOf(turn(1), turn(2, size = 11), turn(3)))
        assertNull(feed.since(0))
        assertNull(feed.since(1))
        assertEquals(listOf(3L), feed.since(2).numbers())
        val behind = async { runCatching { feed.watch(after = 1).toList() } }
        assertTrue(behind.await().exceptionOrNull() is FellBehindException)
      }
    }

  @Test
  fun whatComesInOneAppendIsBoundedTheSame() {
    val feed = ChangeFeed(0, maxTurns = 5)
    feed.append((1L..1_000L).map { turn(it) })
    assertNull(feed.since(994))
    assertEquals((996L..1_000L).toList(), feed.since(995).numbers())
    assertEquals(emptyList<Long>(), feed.since(1_000).numbers())
  }

  @Test
  fun aWatcherThatNeverReadsHoldsNothing() =
    runTest {
      val feed = ChangeFeed(0, maxTurns = 4)
      val watching =
        List(100) {
          launch { feed.watch(after = 0).collect { kotlinx.coroutines.awaitCancellation() } }
        }
      feed.append(listOf(turn(1)))
      runCurrent()
      val second = appended(feed, 2)
      feed.append((3L..10L).map { turn(it) })
      runCurrent()
      repeat(100) {
        if (second.get() == null) return@repeat
        System.gc()
        Thread.sleep(10)
      }
      assertNull(second.get(), "a turn that has left the ring")
      assertFalse(watching.any { it.isCompleted })
      watching.forEach { it.cancel() }
    }

  @Test
  fun manyWatchersSeeEveryTurnOnceOrHearThatTheyFellBehind() =
    runBlocking(Dispatchers.Default) {
      val last = 20_000L
      val feed = ChangeFeed(0, maxTurns = 64)
      withTimeout(100_000) {
        coroutineScope {
          val watchers =
            List(8) {
              async {
                var position = 0L
                var lists = 0
                while (position < last) {
                  try {
                    feed.watch(position).take((last - position).toInt()).collect { turn ->
                      check(turn.sequence == position + 1) { "${turn.sequence} after $position" }
                      position = turn.sequence
                    }
                  } catch (_: FellBehindException) {
                    lists++
                    position = feed.head.value
                  }
                }
                lists
              }
            }
          launch { for (number in 1..last) feed.append(listOf(turn(number))) }
          watchers.awaitAll()
        }
      }
      assertEquals(last, feed.head.value)
    }
}

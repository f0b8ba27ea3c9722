package knit.am.yarn

import knit.am.ApplicationLoop
import knit.am.core.Input
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.Registered
import knit.am.core.Resource
import knit.am.core.WaitingExplained
import knit.am.core.service
import knit.am.core.start
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.time.Clock
import java.time.ZoneOffset

/** When the core is told why containers wait: each time is an event for all who watch. */
@OptIn(ExperimentalCoroutinesApi::class)
class ExplainingTest {
  private val fake = FakeResourceManager()
  private val told = mutableListOf<Pair<Long, WaitingExplained>>()

  /** An application of one container, for which a queue that another one fills has a little less room with each heartbeat. */
  private fun TestScope.waiting() {
    var free = 200L
    val filling =
      object : ResourceManager by fake {
        override suspend fun allocate(demand: Demand) = fake.allocate(demand).copy(headroom = Resource(free--.coerceAtLeast(1), 1))
      }
    val clock = Clock.fixed(NOW, ZoneOffset.UTC)
    val loop = ApplicationLoop(start("worker" to service()), clock, {}) { throw it }

    fun post(input: Input) {
      if (input is WaitingExplained) told += currentTime to input
      loop.post(input)
    }
    backgroundScope.launch { loop.run() }
    loop.post(Registered(MOST))
    runCurrent()
    fake.rooms = listOf(room(1))
    val allocator = Allocator(filling, loop.snapshots, ::post, clock) { currentTime }
    backgroundScope.launch { allocator.run(Registration(MOST, countsVcores = false), CompletableDeferred(Result.success(fake.rooms))) }
    runCurrent()
  }

  @Test
  fun numbersAloneAreToldEveryTenSecondsAndAnotherReasonAtOnce() =
    runTest {
      waiting()
      advanceTimeBy(60_000)
      val times = told.map { it.first }
      assertTrue(times.first() in 3_000..4_000, "$times")
      assertTrue(times.zipWithNext { one, next -> next - one }.all { it in 10_000..12_000 }, "$times")
      assertEquals(told.size, told.map { it.second.reasons }.distinct().size)
      assertEquals(1, told.map { (_, explained) -> explained.reasons.map { it.cause } }.distinct().size, "$told")
      val before = told.size
      fake.grant()
      advanceTimeBy(2_000)
      assertEquals(listOf(WaitingExplained(emptyList())), told.drop(before).map { it.second }, "nothing waits any more")
    }
}

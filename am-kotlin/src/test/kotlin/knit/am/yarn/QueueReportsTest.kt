package knit.am.yarn

import knit.am.ApplicationLoop
import knit.am.core.Input
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.ReasonSource
import knit.am.core.Registered
import knit.am.core.Resource
import knit.am.core.WaitingCause
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
import java.io.IOException
import java.time.Clock
import java.time.ZoneOffset

@OptIn(ExperimentalCoroutinesApi::class)
class QueueReportsTest {
  private val resourceManager = FakeResourceManager()
  private val explained = mutableListOf<WaitingExplained>()

  /** What YARN would still grant. */
  private var headroom = Resource(0, 0)

  /** Asks for containers that are not granted, with all that an allocator needs in the background. */
  private fun TestScope.waiting() {
    resourceManager.rooms = listOf(room(1))
    val loop = ApplicationLoop(start("worker" to service(instances = 3)), Clock.fixed(NOW, ZoneOffset.UTC), {}) { throw it }
    val limited =
      object : ResourceManager by resourceManager {
        override suspend fun allocate(demand: Demand) = resourceManager.allocate(demand).copy(headroom = headroom)
      }
    val post = { input: Input ->
      if (input is WaitingExplained) explained += input
      loop.post(input)
    }
    val allocator = Allocator(limited, loop.snapshots, post, Clock.fixed(NOW, ZoneOffset.UTC)) { currentTime }
    backgroundScope.launch { loop.run() }
    loop.post(Registered(MOST))
    runCurrent()
    backgroundScope.launch {
      allocator.run(Registration(MOST, countsVcores = false, queue = "small"), CompletableDeferred(Result.success(resourceManager.rooms)))
    }
    runCurrent()
  }

  @Test
  fun theFirstReasonThatIsToldNamesTheQueueThatIsFull() =
    runTest {
      resourceManager.queueReport = QueueReport("small", Resource(700, 7), 0.1, 0.1)
      waiting()
      advanceTimeBy(WAITING_AFTER_MILLIS + 5_000)
      val reason = explained.first { it.reasons.isNotEmpty() }.reasons.single()
      assertEquals(WaitingCause.QUEUE_FULL, reason.cause)
      assertEquals(ReasonSource.QUEUE_REPORT to true, reason.source to reason.isCertain)
      assertEquals(listOf("small", "700", "819"), listOf("queue", "used_memory_mib", "limit_memory_mib").map { reason.facts[it] })
    }

  @Test
  fun itIsAskedForNowAndThenWhileTheQueueMayBeShortAndNotOtherwise() =
    runTest {
      resourceManager.queueReport = QueueReport("small", Resource(700, 7), 0.1, 0.1)
      headroom = Resource(100_000, 100)
      waiting()
      advanceTimeBy(60_000)
      assertEquals(0, resourceManager.queueReports)
      headroom = Resource(0, 0)
      advanceTimeBy(60_000)
      assertTrue(resourceManager.queueReports in 5..7, "${resourceManager.queueReports} in a minute")
    }

  @Test
  fun whereTheResourceManagerTellsNoneItIsNotAskedAgain() =
    runTest {
      waiting()
      advanceTimeBy(60_000)
      assertEquals(1, resourceManager.queueReports)
      assertEquals(
        ReasonSource.HEARTBEAT to false,
        explained
          .last()
          .reasons
          .single()
          .let { it.source to it.isCertain },
      )
    }

  @Test
  fun oneThatFailsIsAskedForAgain() =
    runTest {
      resourceManager.queueFailure = IOException("connection refused")
      waiting()
      advanceTimeBy(WAITING_AFTER_MILLIS + 2_000)
      assertEquals(
        false,
        explained
          .last()
          .reasons
          .single()
          .isCertain,
      )
      resourceManager.queueFailure = null
      resourceManager.queueReport = QueueReport("small", Resource(700, 7), 0.1, 0.1)
      advanceTimeBy(QueueReports.INTERVAL_MILLIS + 5_000)
      assertEquals(
        true,
        explained
          .last()
          .reasons
          .single()
          .isCertain,
      )
    }
}

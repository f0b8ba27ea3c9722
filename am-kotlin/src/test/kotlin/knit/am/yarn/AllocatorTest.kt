package knit.am.yarn

import knit.am.ApplicationLoop
import knit.am.core.Effect
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.Phase
import knit.am.core.Registered
import knit.am.core.Release
import knit.am.core.ServiceSpec
import knit.am.core.adding
import knit.am.core.service
import knit.am.core.start
import knit.am.core.stopping
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.IOException
import java.time.Clock
import java.time.ZoneOffset

@OptIn(ExperimentalCoroutinesApi::class)
class AllocatorTest {
  private val resourceManager = FakeResourceManager()
  private val effects = mutableListOf<Effect>()
  private lateinit var loop: ApplicationLoop
  private var failure: Throwable? = null

  /** Starts the loop and the allocator; both live in the background. */
  private fun TestScope.running(
    spec: ServiceSpec = service(),
    report: Result<List<NodeRoom>?> = Result.success(resourceManager.rooms),
  ): Job {
    loop = ApplicationLoop(start("worker" to spec), Clock.fixed(NOW, ZoneOffset.UTC), effects::add) { throw it }
    val allocator = Allocator(resourceManager, loop.snapshots, loop::post) { testScheduler.currentTime }
    backgroundScope.launch { loop.run() }
    loop.post(Registered(MOST))
    runCurrent()
    val job =
      backgroundScope.launch {
        try {
          allocator.run(Registration(MOST, countsVcores = false), CompletableDeferred(report))
        } catch (gone: LeftBehindException) {
          failure = gone
        }
      }
    runCurrent()
    return job
  }

  @Test
  fun whatIsWantedIsAskedForAtOnceAndByNode() =
    runTest {
      resourceManager.rooms = listOf(room(1), room(2))
      running(service(instances = 4))
      assertEquals(1, resourceManager.demands.size)
      assertEquals(mapOf("node1" to 2, "node2" to 2), resourceManager.open.groupingBy { it.nodes.single().name }.eachCount())
    }

  @Test
  fun aGrantIsAskedForOnlyOnce() =
    runTest {
      running(service(instances = 3))
      resourceManager.grant(resourceManager.open.first())
      advanceTimeBy(60)
      val handled = resourceManager.demands.size
      advanceTimeBy(60)
      assertTrue(resourceManager.demands.drop(handled).all { it.asks.size == 2 })
      assertEquals(emptyList<Effect>(), effects.filterIsInstance<Release>())
    }

  @Test
  fun aGrantTooManyIsGivenBack() =
    runTest {
      running(service(instances = 1))
      val ask = resourceManager.open.single()
      repeat(2) { resourceManager.grant(ask) }
      advanceTimeBy(100)
      assertEquals(1, effects.count { it is Release })
      assertEquals(0, resourceManager.open.size)
    }

  @Test
  fun aWishIsSentWithoutWaitingForTheNextHeartbeat() =
    runTest {
      running(service(instances = 0))
      advanceTimeBy(60_000)
      val before = testScheduler.currentTime
      val count = resourceManager.demands.size
      loop.post(adding("worker", 2))
      runCurrent()
      assertEquals(before, testScheduler.currentTime)
      assertEquals(count + 1, resourceManager.demands.size)
      assertEquals(2, resourceManager.open.size)
    }

  @Test
  fun heartbeatsAreQuickWhileSomethingIsAwaitedAndSlowWhenNothingIs() =
    runTest {
      running(service(instances = 1))
      advanceTimeBy(1_000)
      assertTrue(resourceManager.demands.size >= 8, "${resourceManager.demands.size} in the first second")
      advanceTimeBy(60_000)
      val count = resourceManager.demands.size
      advanceTimeBy(10_000)
      assertEquals(10, resourceManager.demands.size - count)
    }

  @Test
  fun whatANodeDoesNotGrantIsAskedForEverywhereSoonAfter() =
    runTest {
      resourceManager.rooms = listOf(room(1), room(2))
      running(service(instances = 2))
      advanceTimeBy(1_500)
      assertTrue(resourceManager.open.all { it.isWide && it.nodes.size == 2 })
    }

  @Test
  fun anOutageOfTheResourceManagerIsWaitedOut() =
    runTest {
      resourceManager.failure = IOException("connection refused")
      running(service(instances = 1))
      advanceTimeBy(600_000)
      assertTrue(resourceManager.demands.size in 20..100, "${resourceManager.demands.size} tries in ten minutes")
      resourceManager.failure = null
      resourceManager.isGenerous = true
      advanceTimeBy(11_000)
      assertEquals(
        0,
        loop.snapshots.value
          .wanted()
          .size,
      )
    }

  @Test
  fun anAttemptTheResourceManagerHasForgottenEnds() =
    runTest {
      resourceManager.failure = LeftBehindException(IOException("unknown attempt"))
      running()
      assertInstanceOf(LeftBehindException::class.java, failure)
    }

  @Test
  fun whereNodesAreNotToldContainersAreAskedForAnywhere() =
    runTest {
      running(service(instances = 1), Result.failure(IOException("refused")))
      assertEquals(emptyList<NodeRoom>(), resourceManager.open.single().nodes)
    }

  @Test
  fun containersOnALostNodeAreReplacedElsewhere() =
    runTest {
      resourceManager.rooms = listOf(room(1), room(2))
      resourceManager.isGenerous = true
      running(service(instances = 2, maxReplacements = 1))
      advanceTimeBy(100)
      resourceManager.isGenerous = false
      resourceManager.rooms = listOf(room(2))
      resourceManager.lose("node1:8041")
      advanceTimeBy(300)
      assertEquals(
        listOf("node2"),
        resourceManager.open
          .single()
          .nodes
          .map { it.name },
      )
    }

  @Test
  fun itEndsWithTheApplication() =
    runTest {
      resourceManager.isGenerous = true
      val job = running(service(instances = 1))
      resourceManager.complete("container_1")
      advanceTimeBy(300)
      assertEquals(Phase.REPORTING, loop.snapshots.value.phase)
      assertTrue(job.isCompleted)
    }

  @Test
  fun aContainerThatIsNotGrantedYetIsNoLongerAskedForOnceStopped() =
    runTest {
      running(service(instances = 2))
      resourceManager.grant(resourceManager.open.first())
      advanceTimeBy(60)
      loop.post(stopping(1))
      loop.post(
        knit.am.core.StopContainers(emptyList(), listOf(knit.am.core.Place("worker", 1))),
      )
      runCurrent()
      assertEquals(0, resourceManager.open.size)
    }
}

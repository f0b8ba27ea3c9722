package knit.am.yarn

import knit.am.core.ContainerState
import knit.am.core.Effect
import knit.am.core.LARGE
import knit.am.core.Phase
import knit.am.core.PlaceKey
import knit.am.core.Release
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.Shape
import knit.am.core.StopContainers
import knit.am.core.WaitingCause
import knit.am.core.WaitingReason
import knit.am.core.adding
import knit.am.core.service
import knit.am.core.stateOf
import knit.am.core.wanted
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.IOException

/** What is asked for, and what becomes of it. */
@OptIn(ExperimentalCoroutinesApi::class)
internal class AllocatorTest : AllocatorRig() {
  @Test
  fun whatIsWantedIsAskedForAtOnceAndByNode() =
    runTest {
      resourceManager.rooms = listOf(room(1), room(2))
      running(service(instances = 4))
      assertEquals(1, resourceManager.demands.size)
      assertEquals(NamedCounts(4, mapOf("node1" to 2, "node2" to 2), mapOf("/rack" to 4)), resourceManager.open[SMALL])
    }

  @Test
  fun aGrantIsAskedForOnlyOnceThoughTheCoreIsSlow() =
    runTest {
      running(service(instances = 3))
      resourceManager.grant()
      nextBeat()
      nextBeat()
      val after = resourceManager.demands.dropWhile { it.asks.values.sumOf { counts -> counts.total } == 3 }
      assertTrue(after.isNotEmpty())
      assertEquals(setOf(2), after.map { it.asks.values.sumOf { counts -> counts.total } }.toSet())
      assertEquals(emptyList<Effect>(), effects.filterIsInstance<Release>())
    }

  @Test
  fun aGrantTooManyIsGivenBack() =
    runTest {
      running(service(instances = 1))
      repeat(2) { resourceManager.grant() }
      repeat(2) { nextBeat() }
      assertEquals(1, effects.count { it is Release })
      assertEquals(0, resourceManager.openCount)
    }

  @Test
  fun aContainerMayBeGrantedAndEndInOneAnswer() =
    runTest {
      running(service(instances = 2))
      val grant = resourceManager.grant()
      resourceManager.complete(grant.lease.containerId)
      nextBeat()
      assertEquals(ContainerState.SUCCEEDED, loop.snapshots.value.stateOf(1))
    }

  @Test
  fun anAttemptTheResourceManagerHasForgottenEnds() =
    runTest {
      resourceManager.failure = LeftBehindException(IOException("unknown attempt"))
      running()
      assertInstanceOf(LeftBehindException::class.java, failure)
    }

  @Test
  fun whatYarnRefusesIsWithheldWithItsWords() =
    runTest {
      running(service(instances = 1, resource = LARGE))
      loop.post(adding("worker", 1, SMALL))
      nextBeat()
      resourceManager.next = Allocation(emptyList(), emptyList(), refused = mapOf(Shape(LARGE) to "no such label"))
      nextBeat()
      nextBeat()
      assertEquals(setOf(SMALL), resourceManager.open.keys)
      advanceTimeBy(4_000)
      assertTrue(allocator.waitingReasons().any { it.cause == WaitingCause.REFUSED && "no such label" in it.explanation })
      advanceTimeBy(7_000)
      assertEquals(setOf(SMALL, LARGE), resourceManager.open.keys, "and it is tried anew")
    }

  @Test
  fun moreSizesThanMayBeAskedForWaitForTheirTurn() =
    runTest {
      running(service(instances = 0))
      (1L..100L).forEach { loop.post(adding("worker", 1, Resource(it, 1))) }
      nextBeat()
      assertEquals(ShapeAdmission.MAX_OPEN_SHAPES, resourceManager.open.size)
      advanceTimeBy(4_000)
      assertTrue(allocator.waitingReasons().any { "turn of this size" in it.explanation })
      resourceManager.isGenerous = true
      advanceTimeBy(1_000)
      assertEquals(emptyMap<Resource, Int>(), loop.snapshots.value.wanted(), "granted ones make room at once")
    }

  @Test
  fun aSilentResourceManagerIsAReasonToWait() =
    runTest {
      running(service(instances = 3))
      resourceManager.answerGate = CompletableDeferred()
      advanceTimeBy(12_000)
      val reason = allocator.waitingReasons().single()
      assertEquals(WaitingCause.RESOURCE_MANAGER, reason.cause)
      assertEquals("worker", reason.serviceName)
      assertEquals(3, reason.count)
    }

  @Test
  fun whatHasJustBeenAskedForNeedsNoReason() =
    runTest {
      running(service(instances = 1))
      advanceTimeBy(WAITING_AFTER_MILLIS - 500)
      assertEquals(emptyList<WaitingReason>(), allocator.waitingReasons())
      advanceTimeBy(1_000)
      assertEquals(WaitingCause.CAPACITY, allocator.waitingReasons().single().cause)
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
      loop.post(StopContainers(emptyList(), listOf(PlaceKey("worker", 1))))
      nextBeat()
      assertEquals(1, resourceManager.openCount)
    }
}

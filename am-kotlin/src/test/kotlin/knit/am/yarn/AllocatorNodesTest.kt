package knit.am.yarn

import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.LARGE
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.WaitingCause
import knit.am.core.adding
import knit.am.core.decide
import knit.am.core.service
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.IOException

/** What is known of nodes, and what follows from it. */
@OptIn(ExperimentalCoroutinesApi::class)
internal class AllocatorNodesTest : AllocatorRig() {
  @Test
  fun whatANodeDoesNotGrantIsAskedForEverywhereSoonAfter() =
    runTest {
      resourceManager.rooms = listOf(room(1), room(2))
      running(service(instances = 2))
      advanceTimeBy(1_500)
      assertEquals(mapOf("node1" to 2, "node2" to 2), resourceManager.open.getValue(SMALL).byNode)
    }

  @Test
  fun whereNodesAreNotToldContainersAreAskedForAnywhere() =
    runTest {
      running(service(instances = 1), Result.failure(IOException("refused")))
      assertEquals(NamedCounts(1), resourceManager.open[SMALL])
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
      assertEquals(mapOf("node2" to 1), resourceManager.open.getValue(SMALL).byNode)
    }

  @Test
  fun aNodeThatComesIsUsedWithoutAskingForAReport() =
    runTest {
      resourceManager.rooms = listOf(room(1, 256))
      running(service(instances = 1))
      val reports = resourceManager.reports
      resourceManager.isGenerous = true
      resourceManager.next = Allocation(emptyList(), emptyList(), newNodes = listOf(room(2)))
      nextBeat()
      resourceManager.isGenerous = false
      loop.post(adding("worker", 1))
      nextBeat()
      assertEquals(mapOf("node2" to 1), resourceManager.open.getValue(SMALL).byNode)
      assertEquals(reports, resourceManager.reports)
    }

  @Test
  fun theRoomOfAContainerIsTakenWhenItIsGrantedAndGivenBackWhenItEnds() =
    runTest {
      resourceManager.rooms = listOf(room(1, 512), room(2, 256))
      running(service(instances = 1, maxRestarts = 5))
      val grant = resourceManager.grant(SMALL, "node1")
      nextBeat()
      loop.post(adding("worker", 2))
      nextBeat()
      assertEquals(mapOf("node1" to 1, "node2" to 1), resourceManager.open.getValue(SMALL).byNode)
      resourceManager.complete(grant.lease.containerId, exitStatus = 1)
      nextBeat()
      nextBeat()
      assertEquals(mapOf("node1" to 2, "node2" to 1), resourceManager.open.getValue(SMALL).byNode)
    }

  @Test
  fun theLongerOneWaitsTheLessOftenTheNodesAreAskedFor() =
    runTest {
      resourceManager.rooms = listOf(room(1, 0))
      running(service(instances = 1))
      advanceTimeBy(600_000)
      assertTrue(resourceManager.reports in 8..16, "${resourceManager.reports} reports in ten minutes")
    }

  @Test
  fun aReportThatTakesLongHoldsUpNothingAndIsUsedWhenItComes() =
    runTest {
      resourceManager.rooms = listOf(room(1, 0))
      running(service(instances = 1))
      resourceManager.rooms = listOf(room(3))
      val gate = CompletableDeferred<Unit>().also { resourceManager.reportGate = it }
      advanceTimeBy(60_000)
      val reports = resourceManager.reports
      assertTrue(beats.size > 60, "${beats.size} heartbeats in a minute")
      gate.complete(Unit)
      advanceTimeBy(2_000)
      assertEquals(reports, resourceManager.reports, "and it was not asked for again meanwhile")
      assertEquals(mapOf("node3" to 1), resourceManager.open.getValue(SMALL).byNode)
    }

  @Test
  fun aSizeThatNoLiveNodeHoldsStopsNoOtherAndIsAskedForOnceOneComes() =
    runTest {
      val small = Resource(3072, 8)
      resourceManager.rooms = listOf(room(1, capacity = small, memoryMib = 3072), room(2))
      running(service(instances = 1, resource = LARGE))
      assertEquals(setOf(LARGE), resourceManager.open.keys)
      resourceManager.lose("node2:8041")
      loop.post(adding("worker", 1, SMALL))
      advanceTimeBy(4_000)
      assertEquals(setOf(SMALL), resourceManager.open.keys)
      val reason = allocator.waitingReasons().single { it.cause == WaitingCause.TOO_LARGE }
      assertEquals(LARGE, reason.resource)
      assertTrue("node1:8041, has $small" in reason.explanation, reason.explanation)
      resourceManager.next = Allocation(emptyList(), emptyList(), newNodes = listOf(room(3)))
      nextBeat()
      nextBeat()
      assertEquals(setOf(SMALL, LARGE), resourceManager.open.keys)
    }

  @Test
  fun aLargerNodeLetsLargerContainersBeAddedAtOnce() =
    runTest {
      val huge = Resource(16_384, 4)
      resourceManager.rooms = listOf(room(1))
      running(service(instances = 1), maximum = Resource(8192, 8))
      assertThrows(AmException.ResourceExhausted::class.java) { loop.snapshots.value.adds(huge) }
      resourceManager.next = Allocation(emptyList(), emptyList(), newNodes = listOf(room(2, 16_384)))
      nextBeat()
      loop.post(adding("worker", 1, huge))
      nextBeat()
      assertEquals(setOf(SMALL, huge), resourceManager.open.keys)
    }

  @Test
  fun aNodeThatIsGoneForAMomentDoesNotRefuseWhatItCouldHold() =
    runTest {
      resourceManager.rooms = listOf(room(1, capacity = Resource(1024, 8), memoryMib = 1024), room(2))
      running(service(instances = 1))
      resourceManager.lose("node2:8041")
      resourceManager.rooms = resourceManager.rooms?.take(1)
      advanceTimeBy(30_000)
      loop.snapshots.value.adds(LARGE)
      advanceTimeBy(40_000)
      assertThrows(AmException.ResourceExhausted::class.java) { loop.snapshots.value.adds(LARGE) }
    }

  @Test
  fun aMaximumThatIsConfiguredStays() =
    runTest {
      resourceManager.rooms = listOf(room(1, 65_536))
      running(service(instances = 1))
      advanceTimeBy(5_000)
      assertThrows(AmException.ResourceExhausted::class.java) { loop.snapshots.value.adds(Resource(16_384, 1)) }
    }

  @Test
  fun anotherResourceManagerIsAskedForItsNodes() =
    runTest {
      resourceManager.rooms = listOf(room(1), room(2))
      running(service(instances = 2))
      resourceManager.rooms = listOf(room(2))
      resourceManager.next = Allocation(emptyList(), emptyList(), registration = Registration(MOST, false))
      nextBeat()
      nextBeat()
      assertEquals(mapOf("node2" to 2), resourceManager.open.getValue(SMALL).byNode)
    }

  /** As if a client added one of that size now; throws what it would be told. */
  private fun Application.adds(resource: Resource) {
    decide(adding("worker", 1, resource), NOW)
  }
}

package knit.am.yarn

import knit.am.ApplicationLoop
import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.ContainerState
import knit.am.core.Effect
import knit.am.core.Granted
import knit.am.core.LARGE
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.Phase
import knit.am.core.PlaceKey
import knit.am.core.Registered
import knit.am.core.Release
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.ServiceSpec
import knit.am.core.Shape
import knit.am.core.Started
import knit.am.core.StopContainers
import knit.am.core.WaitingCause
import knit.am.core.WaitingReason
import knit.am.core.adding
import knit.am.core.decide
import knit.am.core.service
import knit.am.core.start
import knit.am.core.stateOf
import knit.am.core.wanted
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.Job
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertThrows
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
  private lateinit var allocator: Allocator
  private var failure: Throwable? = null

  /** Of each heartbeat, when it was sent. */
  private val beats = mutableListOf<Long>()

  /** Starts the loop and the allocator; both live in the background. */
  private fun TestScope.running(
    spec: ServiceSpec = service(),
    report: Result<List<NodeRoom>?> = Result.success(resourceManager.rooms),
    maximum: Resource = MOST,
  ): Job {
    loop = ApplicationLoop(start("worker" to spec), Clock.fixed(NOW, ZoneOffset.UTC), effects::add) { throw it }
    val timed =
      object : ResourceManager by resourceManager {
        override suspend fun allocate(demand: Demand): Allocation {
          beats += currentTime
          return resourceManager.allocate(demand)
        }
      }
    allocator = Allocator(timed, loop.snapshots, loop::post, Clock.fixed(NOW, ZoneOffset.UTC)) { currentTime }
    backgroundScope.launch { loop.run() }
    loop.post(Registered(maximum))
    runCurrent()
    val job =
      backgroundScope.launch {
        try {
          allocator.run(Registration(maximum, countsVcores = false), CompletableDeferred(report))
        } catch (gone: LeftBehindException) {
          failure = gone
        }
      }
    runCurrent()
    return job
  }

  private fun TestScope.nextBeat() {
    val seen = beats.size
    while (beats.size == seen) advanceTimeBy(1)
    runCurrent()
  }

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
  fun noHeartbeatIsSentBeforeTheCoreHasWorkedTheGrantsIn() =
    runTest {
      val application = start("worker" to service(instances = 2))
      val snapshots = MutableStateFlow(application)
      val allocator = Allocator(resourceManager, snapshots, {}, Clock.fixed(NOW, ZoneOffset.UTC)) { currentTime }
      backgroundScope.launch { allocator.run(Registration(MOST, false), CompletableDeferred(Result.success(null))) }
      runCurrent()
      val grant = resourceManager.grant()
      advanceTimeBy(60_000)
      assertEquals(2, resourceManager.demands.size, "it would ask for two again, and be given three")
      snapshots.value = application.decide(Granted(grant.lease, grant.requested), NOW).application
      advanceTimeBy(1_000)
      assertTrue(resourceManager.demands.size > 2)
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
  fun aWishIsSentWithoutWaitingForTheNextHeartbeat() =
    runTest {
      running(service(instances = 0))
      advanceTimeBy(60_500)
      val before = currentTime
      val count = resourceManager.demands.size
      loop.post(adding("worker", 2))
      runCurrent()
      assertEquals(before, currentTime)
      assertEquals(count + 1, resourceManager.demands.size)
      assertEquals(2, resourceManager.openCount)
    }

  @Test
  fun heartbeatsHaveAFloorWhateverWakesThem() =
    runTest {
      resourceManager.isGenerous = true
      running(service(instances = 200))
      nextBeat()
      backgroundScope.launch {
        for (number in 1..200) {
          loop.post(Started("container_$number"))
          loop.post(adding("worker", 1))
          allocator.wake()
          delay(1)
        }
      }
      advanceTimeBy(2_000)
      val pauses = beats.zipWithNext { a, b -> b - a }
      assertEquals(HeartbeatSchedule.FLOOR_MILLIS, pauses.min())
      assertEquals(400, loop.snapshots.value.size)
    }

  @Test
  fun theFloorHoldsWhereTheResourceManagerIsSlowToo() =
    runTest {
      running(service(instances = 1))
      val gate = CompletableDeferred<Unit>().also { resourceManager.answerGate = it }
      nextBeat()
      advanceTimeBy(20)
      allocator.wake()
      gate.complete(Unit)
      resourceManager.answerGate = null
      nextBeat()
      assertTrue(beats[2] - beats[1] >= HeartbeatSchedule.FLOOR_MILLIS)
    }

  @Test
  fun whatRunsIsNoReasonForAHeartbeat() =
    runTest {
      resourceManager.isGenerous = true
      running(service(instances = 1))
      advanceTimeBy(40_500)
      val count = beats.size
      loop.post(Started("container_1"))
      runCurrent()
      assertEquals(ContainerState.RUNNING, loop.snapshots.value.stateOf(1))
      assertEquals(count, beats.size)
    }

  @Test
  fun heartbeatsAreQuickWhileSomethingIsAwaitedAndSlowWhenNothingIs() =
    runTest {
      running(service(instances = 1))
      advanceTimeBy(1_001)
      assertEquals(listOf<Long>(0, 50, 100, 150, 200, 300, 400, 500, 600, 850), beats)
      advanceTimeBy(60_000)
      val count = beats.size
      advanceTimeBy(10_000)
      assertEquals(10, beats.size - count)
    }

  @Test
  fun whereNothingHappensForMinutesHeartbeatsAreFewerAndAChangeWakesThem() =
    runTest {
      running(service(instances = 0))
      advanceTimeBy(400_000)
      val count = beats.size
      advanceTimeBy(30_000)
      assertEquals(10, beats.size - count)
      loop.post(adding("worker", 1))
      advanceTimeBy(1_000)
      assertTrue(beats.size - count > 18)
    }

  @Test
  fun whatIsNotToldYetIsToldAfterTheFloor() =
    runTest {
      running(service(instances = 0))
      advanceTimeBy(60_500)
      resourceManager.next = Allocation(emptyList(), emptyList(), isBehind = true)
      nextBeat()
      nextBeat()
      assertEquals(HeartbeatSchedule.FLOOR_MILLIS, beats.last() - beats[beats.size - 2])
    }

  @Test
  fun whatANodeDoesNotGrantIsAskedForEverywhereSoonAfter() =
    runTest {
      resourceManager.rooms = listOf(room(1), room(2))
      running(service(instances = 2))
      advanceTimeBy(1_500)
      assertEquals(mapOf("node1" to 2, "node2" to 2), resourceManager.open.getValue(SMALL).byNode)
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
      val count = beats.size
      loop.post(adding("worker", 1))
      advanceTimeBy(500)
      assertTrue(beats.size - count >= 4, "it is as quick as before the outage")
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

  /** As if a client added one of that size now; throws what it would be told. */
  private fun Application.adds(resource: Resource) {
    decide(adding("worker", 1, resource), NOW)
  }
}

package knit.am.yarn

import knit.am.core.ContainerState
import knit.am.core.Granted
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.Started
import knit.am.core.adding
import knit.am.core.decide
import knit.am.core.service
import knit.am.core.start
import knit.am.core.stateOf
import knit.am.core.wanted
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.launch
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

/** When the ResourceManager is spoken to. */
@OptIn(ExperimentalCoroutinesApi::class)
internal class AllocatorHeartbeatsTest : AllocatorRig() {
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
}

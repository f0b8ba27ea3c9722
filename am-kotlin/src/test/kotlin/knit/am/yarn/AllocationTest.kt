package knit.am.yarn

import knit.am.ApplicationLoop
import knit.am.core.ContainerState
import knit.am.core.LARGE
import knit.am.core.NOW
import knit.am.core.Registered
import knit.am.core.Release
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.ServiceSpec
import knit.am.core.WaitingCause
import knit.am.core.WaitingReason
import knit.am.core.adding
import knit.am.core.service
import knit.am.core.start
import knit.am.core.wanted
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.StandardTestDispatcher
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

/** The allocator over a session with a YARN that behaves like YARN, in virtual time. */
@OptIn(ExperimentalCoroutinesApi::class)
class AllocationTest {
  private val yarn = FakeYarn()
  private lateinit var session: RmSession
  private lateinit var loop: ApplicationLoop
  private lateinit var allocator: Allocator

  private fun TestScope.running(vararg services: Pair<String, ServiceSpec>) {
    session = RmSession(lazy { yarn }, Leases(), StandardTestDispatcher(testScheduler)) { currentTime }
    loop =
      ApplicationLoop(
        start(*services),
        Clock.fixed(NOW, ZoneOffset.UTC),
        { if (it is Release) session.release(it.containerId) },
      ) { throw it }
    allocator = Allocator(session, loop.snapshots, loop::post, Clock.fixed(NOW, ZoneOffset.UTC)) { currentTime }
    backgroundScope.launch { loop.run() }
    backgroundScope.launch {
      val registration = session.register("host", 1)
      loop.post(Registered(registration.maxResource))
      allocator.run(registration, CompletableDeferred(runCatching { session.nodes() }))
    }
    runCurrent()
  }

  /** Each node reports to YARN once a second, one after the other. */
  private fun TestScope.nodesReport() {
    backgroundScope.launch {
      while (true) {
        val nodes = yarn.nodes.values.toList()
        for (node in nodes) {
          yarn.beat(node)
          if (node === nodes.last() ||
            nodes.size <= 10
          ) {
            delay(1_000L / minOf(nodes.size, 10))
          } else if (nodes.indexOf(node) % (nodes.size / 10) == 0) {
            delay(100)
          }
        }
      }
    }
  }

  private val launching get() = loop.snapshots.value.count(ContainerState.LAUNCHING)

  @Test
  fun tenThousandContainersOnFiveHundredNodesAreAskedForInProportionToTheNodes() =
    runTest {
      repeat(500) { yarn.add(FakeYarn.Node("n$it", Resource(25 * SMALL.memoryMib, 100), "/rack${it / 20}")) }
      running("worker" to service(instances = 10_000))
      nodesReport()
      var seconds = 0
      while (launching < 10_000 && seconds < 60) {
        advanceTimeBy(1_000)
        seconds++
      }
      assertEquals(10_000, launching, "after $seconds s, ${yarn.pending} pending")
      val lines = yarn.requests.sumOf { it.askList.size }
      // One request for each container and node it names would be hundreds of thousands.
      assertTrue(lines < 20_000, "$lines requests in ${yarn.requests.size} heartbeats")
      assertTrue(yarn.requests.maxOf { it.askList.size } <= 2 * (Planner.MAX_NAMED_NODES + Planner.MAX_NAMED_RACKS) + 1)
      assertTrue(yarn.released.size < 1_000, "${yarn.released.size} grants too many")
    }

  @Test
  fun allIsGrantedThroughRestartsLostAnswersAndNodesThatComeAndGo() =
    runTest {
      repeat(6) { yarn.add(FakeYarn.Node("n$it", Resource(40 * SMALL.memoryMib, 100), "/rack${it % 2}")) }
      running("a" to service(instances = 100, maxReplacements = 100), "b" to service(instances = 20, resource = Resource(300, 1)))
      nodesReport()
      advanceTimeBy(300)
      yarn.answersToLose = 1
      advanceTimeBy(300)
      yarn.restart()
      advanceTimeBy(300)
      yarn.requestsToLose = 3
      yarn.lose("n0")
      advanceTimeBy(5_000)
      yarn.restart()
      yarn.add(FakeYarn.Node("n9", Resource(40 * SMALL.memoryMib, 100), "/rack1"))
      advanceTimeBy(60_000)
      assertEquals(120, launching, "${yarn.pending} pending")
      assertEquals(0, yarn.pending)
      val held = yarn.live.filterValues { (node, _) -> node.name in yarn.nodes }
      // Grants in an answer that a restart swallowed are YARN's to take back, for nobody has heard of them.
      assertTrue(held.size >= 120)
    }

  @Test
  fun aContainerThatFitsNoLiveNodeStopsNobody() =
    runTest {
      yarn.add(FakeYarn.Node("small", Resource(3072, 100)))
      yarn.add(FakeYarn.Node("large", Resource(6144, 100)))
      running("large" to service(resource = LARGE, maxReplacements = 3), "small" to service(instances = 2))
      nodesReport()
      advanceTimeBy(3_000)
      assertEquals(3, launching)
      yarn.lose("large")
      advanceTimeBy(2_000)
      val waiting = loop.snapshots.value
      assertEquals(1, waiting.wanted()[LARGE])
      val ended =
        yarn.live.entries
          .first { it.value.first.name == "small" }
          .key
      yarn.complete(ended)
      advanceTimeBy(1_000)
      assertEquals(1, loop.snapshots.value.count(ContainerState.SUCCEEDED), "ends are heard")
      advanceTimeBy(5_000)
      assertEquals(setOf(WaitingCause.TOO_LARGE), allocator.waitingReasons().map { it.cause }.toSet())
      yarn.add(FakeYarn.Node("new", Resource(6144, 100)))
      advanceTimeBy(3_000)
      assertEquals(null, loop.snapshots.value.wanted()[LARGE])
      assertEquals(emptyList<WaitingReason>(), allocator.waitingReasons())
    }

  @Test
  fun aSizeThereIsNoRoomForHoldsUpNoSmallerOne() =
    runTest {
      yarn.add(FakeYarn.Node("small", Resource(3072, 100)))
      yarn.add(FakeYarn.Node("large", Resource(6144, 100)))
      running("large" to service(instances = 2, resource = LARGE))
      nodesReport()
      advanceTimeBy(5_000)
      loop.post(adding("large", 3, SMALL))
      advanceTimeBy(5_000)
      assertEquals(mapOf(LARGE to 1), loop.snapshots.value.wanted())
      assertEquals(listOf(WaitingCause.CAPACITY), allocator.waitingReasons().map { it.cause })
    }

  @Test
  fun aNodeThatIsMadeSmallerUnnoticedStopsNobodyEither() =
    runTest {
      yarn.add(FakeYarn.Node("n1", Resource(6144, 100)))
      running("large" to service(instances = 2, resource = LARGE), "small" to service(instances = 2))
      nodesReport()
      advanceTimeBy(3_000)
      // YARN does not tell of it by itself, and refuses what it took before.
      yarn.nodes["n1"] = FakeYarn.Node("n1", Resource(3072, 100))
      loop.post(adding("small", 2))
      advanceTimeBy(3_000)
      assertEquals(null, loop.snapshots.value.wanted()[SMALL])
      assertEquals(1, loop.snapshots.value.wanted()[LARGE])
      advanceTimeBy(120_000)
      val reason = allocator.waitingReasons().single()
      assertTrue(reason.cause == WaitingCause.TOO_LARGE || reason.cause == WaitingCause.REFUSED, "$reason")
    }
}

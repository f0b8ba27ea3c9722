package knit.am

import knit.am.core.ContainerRef
import knit.am.core.FinalStatus
import knit.am.core.Input
import knit.am.core.Launch
import knit.am.core.LaunchFailed
import knit.am.core.LaunchFault
import knit.am.core.Lease
import knit.am.core.Outcome
import knit.am.core.Release
import knit.am.core.Started
import knit.am.core.StopContainer
import knit.am.core.Unregister
import knit.am.core.id
import knit.am.core.key
import knit.am.core.lease
import knit.am.core.service
import knit.am.log.ContainerIndex
import knit.am.security.ContainerHolder
import knit.am.security.TokenHolder
import knit.am.yarn.ApplicationVariables
import knit.am.yarn.FakeNodeManager
import knit.am.yarn.FakeResourceManager
import knit.am.yarn.NodeCalls
import knit.am.yarn.UnlaunchableException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.test.StandardTestDispatcher
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

@OptIn(ExperimentalCoroutinesApi::class)
class ClusterEffectsTest {
  private val resourceManager = FakeResourceManager()
  private val nodeManager = FakeNodeManager()
  private val events = mutableListOf<Input>()
  private var wakes = 0

  private fun TestScope.effects(): ClusterEffects {
    val index = ContainerIndex(null, StandardTestDispatcher(testScheduler), warn = {})
    val calls = NodeCalls({ currentTime })
    val variables = CompletableDeferred(ApplicationVariables("application_1_0001", "history-1", "am:50100", "ann"))
    return ClusterEffects(backgroundScope, variables, ::credentials, resourceManager, nodeManager, calls, index).apply {
      post = events::add
      wakeAllocator = { wakes++ }
    }
  }

  private fun credentials(
    holder: TokenHolder,
    masterAddress: String,
  ) = mapOf("token" to "$holder at $masterAddress")

  private fun launch(
    number: Int,
    node: Int = 1,
  ) = Launch(key("worker", number), number, 1, lease(number, node), service())

  @Test
  fun aLaunchThatIsAcceptedHasStarted() =
    runTest {
      effects().handle(launch(1))
      runCurrent()
      assertEquals(listOf<Input>(Started(id(1))), events)
      assertEquals("1", nodeManager.launched.getValue(id(1)).environment["KNIT_RANK"])
      val holder = ContainerHolder(ContainerRef("worker", 1), launch(1).key.attemptNumber)
      assertEquals(credentials(holder, "am:50100"), nodeManager.launched.getValue(id(1)).credentials)
    }

  @Test
  fun aStopNeverOvertakesItsLaunch() =
    runTest {
      val held = CompletableDeferred<Unit>()
      var calls = 0
      // Only the launch is held back: a stop that came next would be answered at once.
      nodeManager.answering = { if (calls++ == 0) held.await() }
      val effects = effects()
      effects.handle(launch(1))
      runCurrent()
      effects.handle(StopContainer(lease(1)))
      runCurrent()
      assertEquals(emptyList<String>(), nodeManager.stopped)
      held.complete(Unit)
      runCurrent()
      assertEquals(listOf(id(1)), nodeManager.stopped)
      assertEquals(listOf<Input>(Started(id(1))), events)
    }

  @Test
  fun aContainerThatIsToStopBeforeItsLaunchHasItsTurnIsNotLaunched() =
    runTest {
      val held = CompletableDeferred<Unit>()
      nodeManager.answering = { held.await() }
      val effects = effects()
      for (number in 1..5) effects.handle(launch(number))
      runCurrent()
      effects.handle(StopContainer(lease(5)))
      held.complete(Unit)
      runCurrent()
      assertEquals((1..4).map(::id).toSet(), nodeManager.launched.keys)
      assertEquals(listOf(id(5)), resourceManager.released)
      assertEquals((1..4).map { Started(id(it)) }.toSet(), events.toSet())
    }

  @Test
  fun aStopThatItsNodeDoesNotAnswerIsGivenBackToYarnAtOnce() =
    runTest {
      nodeManager.answering = { lease -> if (lease.nodeId == lease(1, node = 2).nodeId) awaitCancellation() }
      nodeManager.dead += lease(1, node = 3).nodeId
      val effects = effects()
      for (number in 1..3) effects.handle(StopContainer(lease(number, node = number)))
      runCurrent()
      assertEquals(listOf(id(1)), nodeManager.stopped)
      assertEquals(listOf(id(3)), resourceManager.released)
      assertEquals(1, wakes)
      advanceTimeBy(30_001)
      runCurrent()
      assertEquals(listOf(id(3), id(2)), resourceManager.released)
      assertEquals(2, wakes)
    }

  @Test
  fun aDarkRackKeepsNobodyFromStopping() =
    runTest {
      nodeManager.answering = { lease -> if (lease.nodeId != "node1:8041") awaitCancellation() }
      val effects = effects()
      val dark = 400
      for (number in 1..dark) effects.handle(StopContainer(lease(number, node = 2 + number % 40)))
      for (number in 1..100) effects.handle(StopContainer(lease(dark + number, node = 1)))
      advanceTimeBy(200_000)
      runCurrent()
      assertEquals(100, nodeManager.stopped.size)
      assertEquals((1..dark).map(::id).toSet(), resourceManager.released.toSet())
    }

  @Test
  fun aFailedLaunchSaysWhoseFaultItIs() =
    runTest {
      nodeManager.answering = { lease -> if (lease.containerId == id(1)) throw UnlaunchableException(IllegalArgumentException("too long")) }
      nodeManager.dead += lease(1, node = 2).nodeId
      val effects = effects()
      effects.handle(launch(1))
      effects.handle(launch(2, node = 2))
      runCurrent()
      nodeManager.answering = { awaitCancellation() }
      for (number in 10..30) effects.handle(launch(number, node = 3))
      advanceTimeBy(120_000)
      runCurrent()
      val failures = events.map { it as LaunchFailed }.associateBy { it.containerId }
      assertEquals(LaunchFailed(id(1), "too long", LaunchFault.SPECIFICATION), failures[id(1)])
      assertEquals(LaunchFault.NODE, failures[id(2)]?.fault)
      val queued = (10..30).map { checkNotNull(failures[id(it)]).fault }
      assertTrue(queued.count { it == LaunchFault.NODE } in 4..6, "$queued")
      assertEquals(setOf(LaunchFault.NODE, LaunchFault.NOBODY), queued.toSet())
    }

  @Test
  fun whatOneContainerWaitsForIsNotWaitedForByOthers() =
    runTest {
      nodeManager.answering = { lease: Lease -> if (lease.containerId == id(1)) awaitCancellation() }
      val effects = effects()
      effects.handle(launch(1))
      effects.handle(launch(2))
      effects.handle(Release(id(3)))
      runCurrent()
      assertEquals(listOf<Input>(Started(id(2))), events)
      assertEquals(listOf(id(3)), resourceManager.released)
    }

  @Test
  fun theOutcomeIsHandedOn() =
    runTest {
      val effects = effects()
      assertFalse(effects.outcome.isCompleted)
      val outcome = Outcome(FinalStatus.SUCCEEDED, "done", 0)
      effects.handle(Unregister(outcome))
      assertEquals(outcome, effects.outcome.await())
    }
}

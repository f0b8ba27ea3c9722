package knit.am

import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Change
import knit.am.core.Container
import knit.am.core.ContainerChanged
import knit.am.core.Effect
import knit.am.core.EndApplication
import knit.am.core.FinalStatus
import knit.am.core.Launch
import knit.am.core.LaunchFailed
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.Phase
import knit.am.core.Registered
import knit.am.core.Release
import knit.am.core.ServiceChanged
import knit.am.core.adding
import knit.am.core.after
import knit.am.core.completed
import knit.am.core.granted
import knit.am.core.id
import knit.am.core.key
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.start
import knit.am.core.started
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import kotlinx.coroutines.withContext
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.fail
import org.junit.jupiter.api.Test
import java.time.Clock
import java.time.ZoneId
import java.time.ZoneOffset

@OptIn(ExperimentalCoroutinesApi::class)
class ApplicationLoopTest {
  private val effects = mutableListOf<Effect>()
  private val ended = mutableListOf<Container>()
  private val faults = mutableListOf<Throwable>()

  @Test
  fun eventsAreAppliedInTheOrderTheyWerePosted() =
    runTest {
      val loop = running()
      listOf(granted(1), started(1), completed(1)).forEach(loop::post)
      runCurrent()
      assertEquals(Phase.REPORTING, loop.snapshots.value.phase)
      assertEquals(
        NOW,
        loop.snapshots.value
          .container(id(1))
          ?.startTime,
      )
    }

  @Test
  fun theSnapshotIsPublishedBeforeItsEffectsStart() =
    runTest {
      lateinit var loop: ApplicationLoop
      val seen = mutableListOf<Boolean>()
      loop =
        running { effect ->
          seen += loop.snapshots.value
            .container((effect as Launch).key)
            ?.lease == effect.lease
        }
      loop.post(granted(1))
      runCurrent()
      assertEquals(listOf(true), seen)
    }

  @Test
  fun aRequestIsAnsweredWithWhatCameOfIt() =
    runTest {
      val loop = running()
      val added = loop.request(adding("worker", 1))
      assertEquals(listOf(key("worker", 1)), added.map { it.key })
      assertEquals(added.single(), loop.snapshots.value.container(key("worker", 1)))
    }

  @Test
  fun aRefusedRequestThrowsAndTheLoopGoesOn() =
    runTest {
      val loop = running()
      val before = loop.snapshots.value
      refusal<AmException.NotFound> { loop.request(adding("nobody", 1)) }
      assertSame(before, loop.snapshots.value)
      assertEquals(1, loop.request(adding("worker", 1)).size)
      assertEquals(emptyList<Throwable>(), faults)
    }

  @Test
  fun whatAnAnswerTellsIsShownBeforeByTheSnapshotAndTheFeed() =
    runTest {
      val loop = running()
      val before = loop.snapshots.value.sequence
      val added = loop.request(adding("worker", 1)).single()
      assertEquals(added, loop.snapshots.value.container(added.key))
      assertEquals(before + 1, loop.changes.head.value)
      val told =
        loop.changes
          .since(before)
          .orEmpty()
          .single()
      val service =
        loop.snapshots.value.services
          .getValue("worker")
      assertEquals(listOf<Change>(ServiceChanged(service), ContainerChanged(added)), told.changes)
    }

  @Test
  fun aBurstIsPublishedAThousandAtATimeAndItsEffectsKeepTheirOrder() =
    runTest {
      val number = 2 * ApplicationLoop.MAX_BATCH + 500
      lateinit var loop: ApplicationLoop
      val published = LinkedHashSet<Long>()
      val launched = mutableListOf<String>()
      loop =
        loopOf(registered("worker" to service(instances = number))) { effect ->
          published += loop.snapshots.value.sequence
          assertEquals(loop.snapshots.value.sequence, loop.changes.head.value)
          launched += (effect as Launch).lease.containerId
        }
      val before = loop.snapshots.value.sequence
      for (i in 1..number) loop.post(granted(i))
      backgroundScope.launch { loop.run() }
      runCurrent()
      assertEquals((1..number).map { id(it) }, launched)
      assertEquals(listOf(1_000L, 2_000L, 2_500L), published.map { it - before })
      assertEquals(number, loop.changes.since(before)?.size)
      assertEquals(emptyList<Throwable>(), faults)
    }

  @Test
  fun aRefusedCommandHarmsNoOtherOfItsBatchAndAnswersKeepTheirOrder() =
    runTest {
      val loop = loopOf(effects::add)
      val order = mutableListOf<String>()
      val calls =
        listOf("worker", "nobody", "worker").map { name ->
          async(start = CoroutineStart.UNDISPATCHED) { runCatching { loop.request(adding(name, 1)) }.also { order += name } }
        }
      loop.post(granted(1))
      backgroundScope.launch { loop.run() }
      val answers = calls.awaitAll()
      assertEquals(listOf(listOf(key("worker", 1)), null, listOf(key("worker", 2))), answers.map { it.getOrNull()?.map { c -> c.key } })
      assertTrue(answers[1].exceptionOrNull() is AmException.NotFound)
      assertEquals(listOf("worker", "nobody", "worker"), order)
      assertEquals(1, effects.size)
      assertEquals(3, loop.snapshots.value.size)
    }

  @Test
  fun aFaultLeavesNobodyOfItsBatchWaiting() =
    runTest {
      val loop = loopOf { throw IllegalStateException("no such thing") }
      val calls =
        List(3) {
          async(start = CoroutineStart.UNDISPATCHED) { refusal<AmException.Unavailable> { loop.request(adding("worker", 1)) } }
        }
      loop.post(granted(1))
      val run = async { runCatching { loop.run() } }
      calls.awaitAll()
      assertEquals("no such thing", run.await().exceptionOrNull()?.message)
    }

  @Test
  fun whatHasBecomeDueIsDoneBeforeWhatComesLaterIsHeard() =
    runTest {
      val ending = registered("worker" to service(instances = 2)).after(granted(1), granted(2), EndApplication(FinalStatus.KILLED, ""))
      val loop = ApplicationLoop(ending, Clock.fixed(NOW.plusSeconds(61), ZoneOffset.UTC), effects::add, ended::add, fatal = faults::add)
      loop.post(completed(1, 143))
      backgroundScope.launch { loop.run() }
      runCurrent()
      assertEquals(listOf<Effect>(Release(id(1)), Release(id(2))), effects)
      assertEquals(listOf(key("worker", 0)), ended.map { it.key })
    }

  @Test
  fun aFaultIsReportedAndEndsTheLoop() =
    runTest {
      val fault = IllegalStateException("no such thing")
      val loop = loopOf { throw fault }
      val run = async { runCatching { loop.run() } }
      loop.post(granted(1))
      val waiting = async { refusal<AmException.Unavailable> { loop.request(adding("worker", 1)) } }
      waiting.await()
      assertEquals("no such thing", run.await().exceptionOrNull()?.message)
      assertEquals(listOf<Throwable>(fault), faults)
    }

  @Test
  fun aCancelledLoopLeavesNobodyWaiting() =
    runTest {
      val loop = loopOf(effects::add)
      val run = launch { loop.run() }
      runCurrent()
      val waiting = async(start = CoroutineStart.UNDISPATCHED) { refusal<AmException.Unavailable> { loop.request(adding("worker", 1)) } }
      run.cancelAndJoin()
      waiting.await()
      refusal<AmException.Unavailable> { loop.request(adding("worker", 1)) }
      loop.post(granted(1))
      assertEquals(emptyList<Throwable>(), faults)
    }

  @Test
  fun whatHasEndedIsToldOnce() =
    runTest {
      val loop = running()
      listOf(granted(1), started(1), completed(1, 3), completed(1, 3)).forEach(loop::post)
      runCurrent()
      assertEquals(listOf(key("worker", 0)), ended.map { it.key })
      assertEquals(3, ended.single().exit?.exitCode)
    }

  @Test
  fun anEndingThatMakesNoProgressIsGivenBackAndInTheEndGivenUp() =
    runTest {
      val loop =
        ApplicationLoop(registered("worker" to service(instances = 2)), virtualClock(), effects::add, ended::add, fatal = faults::add)
      backgroundScope.launch { loop.run() }
      listOf(granted(1), granted(2)).forEach(loop::post)
      loop.request(EndApplication(FinalStatus.KILLED, ""))
      runCurrent()
      effects.clear()
      advanceTimeBy(59_000)
      runCurrent()
      loop.post(completed(1, 143))
      advanceTimeBy(59_000)
      runCurrent()
      assertEquals(emptyList<Effect>(), effects, "an end begins the wait anew")
      advanceTimeBy(2_000)
      runCurrent()
      assertEquals(listOf<Effect>(Release(id(2))), effects)
      advanceTimeBy(600_000)
      runCurrent()
      assertEquals(Phase.REPORTING, loop.snapshots.value.phase)
      assertTrue(
        "has said nothing for 10 minutes" in
          ended
            .last()
            .exit
            ?.diagnostics
            .orEmpty(),
      )
      assertEquals(emptyList<Throwable>(), faults)
    }

  @Test
  fun aNodeIsForgivenWhenItsTimeHasCome() =
    runTest {
      val spec = service(instances = 3, maxReplacements = 5)
      val loop = ApplicationLoop(registered("worker" to spec), virtualClock(), effects::add, ended::add, fatal = faults::add)
      backgroundScope.launch { loop.run() }
      for (number in 1..2) {
        loop.post(granted(number))
        loop.post(LaunchFailed(id(number), "refused"))
      }
      runCurrent()
      assertEquals(setOf("node1:8041"), loop.snapshots.value.excludedNodes)
      advanceTimeBy(599_000)
      runCurrent()
      assertEquals(setOf("node1:8041"), loop.snapshots.value.excludedNodes)
      advanceTimeBy(2_000)
      runCurrent()
      assertEquals(emptySet<String>(), loop.snapshots.value.excludedNodes)
      assertEquals(null, loop.snapshots.value.nextDeadline)
    }

  @Test
  fun nothingThatArrivesAsADeadlinePassesIsLost() =
    runTest {
      val loop =
        ApplicationLoop(registered("worker" to service(instances = 2)), virtualClock(), effects::add, ended::add, fatal = faults::add)
      backgroundScope.launch { loop.run() }
      listOf(granted(1), granted(2)).forEach(loop::post)
      loop.request(EndApplication(FinalStatus.KILLED, ""))
      launch {
        delay(60_001)
        loop.post(completed(1, 0))
        loop.post(completed(2, 0))
      }
      advanceTimeBy(60_002)
      runCurrent()
      assertEquals(2, ended.size)
      assertEquals(Phase.REPORTING, loop.snapshots.value.phase)
    }

  /** Time that passes only when the test lets it. */
  private fun TestScope.virtualClock(): Clock =
    object : Clock() {
      override fun getZone() = ZoneOffset.UTC

      override fun withZone(zone: ZoneId) = this

      override fun instant() = NOW.plusMillis(testScheduler.currentTime)
    }

  @Test
  fun manyThreadsMayPost() =
    runTest {
      val number = 2_000
      val loop = ApplicationLoop(start("worker" to service(instances = number)), clock(), {}, fatal = faults::add)
      loop.post(Registered(MOST))
      withContext(Dispatchers.Default) {
        val run = launch { loop.run() }
        for (i in 1..number) {
          launch {
            loop.post(granted(i))
            loop.post(started(i))
            loop.post(completed(i))
          }
        }
        loop.snapshots.first { it.isDone }
        run.cancelAndJoin()
      }
      assertTrue(
        loop.snapshots.value.containers
          .all { it.startTime == NOW },
      )
    }

  private fun TestScope.running(handler: EffectHandler = EffectHandler { effects += it }): ApplicationLoop {
    val loop = loopOf(handler)
    backgroundScope.launch { loop.run() }
    return loop
  }

  private fun loopOf(handler: EffectHandler) = loopOf(registered("worker" to service()), handler)

  private fun loopOf(
    application: Application,
    handler: EffectHandler,
  ) = ApplicationLoop(application, clock(), handler, ended::add, fatal = faults::add)

  private fun clock(): Clock = Clock.fixed(NOW, ZoneOffset.UTC)

  /** `assertThrows` takes no suspending code. */
  private suspend inline fun <reified E : AmException> refusal(call: () -> Unit) {
    try {
      call()
    } catch (refused: AmException) {
      assertTrue(refused is E, "$refused")
      return
    }
    fail<Unit>("not refused")
  }
}

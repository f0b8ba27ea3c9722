package knit.am.yarn

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.delay
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.apache.hadoop.yarn.exceptions.YarnException
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.net.ConnectException
import kotlin.time.Duration.Companion.seconds

@OptIn(ExperimentalCoroutinesApi::class)
class NodeCallsTest {
  private fun TestScope.calls(
    perNode: Int = 4,
    total: Int = 64,
  ) = NodeCalls({ currentTime }, perNode, total, callLimit = 30.seconds, queueLimit = 60.seconds)

  private fun TestScope.silent(
    calls: NodeCalls,
    nodeId: String,
    number: Int,
  ): List<Deferred<Result<Unit>>> = List(number) { async { runCatching { calls.on<Unit>(nodeId) { awaitCancellation() } } } }

  @Test
  fun aHealthyNodeIsNotBlamedForTheQueueBehindDeadOnes() =
    runTest {
      val calls = calls()
      val dead = (1..40).flatMap { silent(calls, "dead$it", 3) }
      runCurrent()
      val healthy = async { calls.on("healthy") { "launched" } }
      assertEquals("launched", healthy.await())
      assertTrue(currentTime >= 30_000, "all threads were taken until the first calls ran out of time")
      dead.awaitAll().forEach { assertInstanceOf(NodeSilentException::class.java, it.exceptionOrNull()) }
    }

  @Test
  fun whatIsLargeIsCarriedAFewAtATime() =
    runTest {
      val calls = calls()
      var now = 0
      var most = 0

      suspend fun carry() {
        most = maxOf(most, ++now)
        delay(100)
        now--
      }
      List(60) { async { calls.on("node$it", sizeBytes = 1L shl 20) { carry() } } }.awaitAll()
      assertEquals(3, most, "64 places, and each takes 17")
      List(60) { async { calls.on("node$it", sizeBytes = Long.MAX_VALUE / 2) { carry() } } }.awaitAll()
      assertEquals(0, now)
      most = 0
      List(64) { async { calls.on("node$it", sizeBytes = 10_000) { carry() } } }.awaitAll()
      assertEquals(64, most)
    }

  @Test
  fun aNodeThatDoesNotAnswerHoldsOneThread() =
    runTest {
      val calls = calls(perNode = 4, total = 8)
      val dead = listOf("dead1", "dead2").flatMap { silent(calls, it, 20) }
      advanceTimeBy(30_001)
      runCurrent()
      // Six of the eight are free again, and stay so while the dead nodes are tried.
      val healthy = List(60) { async { calls.on("healthy${it % 6}") { delay(100) } } }
      healthy.awaitAll()
      assertTrue(currentTime < 35_000, "$currentTime")
      dead.awaitAll()
    }

  @Test
  fun whoWaitsBehindASilentNodeForTooLongIsNotAskedAndBlamesNobody() =
    runTest {
      val calls = calls()
      val failures = silent(calls, "dead", 30).awaitAll().map { it.exceptionOrNull() }
      assertTrue(currentTime <= 90_000, "$currentTime")
      assertEquals(5, failures.count { it is NodeSilentException })
      assertEquals(25, failures.count { it is NodeNotAskedException })
    }

  @Test
  fun whoWaitsBehindANodeThatAnswersWaitsAsLongAsItTakes() =
    runTest {
      val calls = calls()
      val number = 100
      List(number) { async { calls.on("slow") { delay(20_000) } } }.awaitAll()
      assertEquals(number / 4 * 20_000L, currentTime)
    }

  @Test
  fun aNodeThatAnswersAgainIsTrustedAgain() =
    runTest {
      val calls = calls()
      runCatching { calls.on<Unit>("node") { throw ConnectException("refused") } }
      val held = CompletableDeferred<Unit>()
      var begun = 0
      val many =
        List(8) {
          async {
            calls.on("node") {
              begun++
              held.await()
            }
          }
        }
      runCurrent()
      assertEquals(1, begun, "one at a time while it is silent")
      held.complete(Unit)
      many.awaitAll()
      begun = 0
      val again = CompletableDeferred<Unit>()
      repeat(8) {
        async {
          calls.on("node") {
            begun++
            again.await()
          }
        }
      }
      runCurrent()
      assertEquals(4, begun)
      again.complete(Unit)
    }

  @Test
  fun whatWasNotAskedSaysNothingOfTheNode() =
    runTest {
      val calls = calls()
      runCatching { calls.on<Unit>("node") { throw ConnectException("refused") } }
      runCatching { calls.on<Unit>("node") { throw NodeNotAskedException("no lease") } }
      var begun = 0
      val held = CompletableDeferred<Unit>()
      repeat(8) {
        async {
          calls.on("node") {
            begun++
            held.await()
          }
        }
      }
      runCurrent()
      assertEquals(1, begun, "it is as silent as before")
      held.complete(Unit)
    }

  @Test
  fun aRefusalIsAnAnswer() =
    runTest {
      val calls = calls()
      assertInstanceOf(YarnException::class.java, runCatching { calls.on<Unit>("node") { throw YarnException("no") } }.exceptionOrNull())
      var begun = 0
      val held = CompletableDeferred<Unit>()
      repeat(8) {
        async {
          calls.on("node") {
            begun++
            held.await()
          }
        }
      }
      runCurrent()
      assertEquals(4, begun)
      held.complete(Unit)
    }
}

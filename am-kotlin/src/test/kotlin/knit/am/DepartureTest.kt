package knit.am

import io.grpc.Metadata
import io.grpc.MethodDescriptor
import io.grpc.ServerCall
import io.grpc.Status
import knit.am.core.FinalStatus
import knit.am.core.Outcome
import knit.am.grpc.ClientActivity
import knit.am.yarn.FakeResourceManager
import knit.am.yarn.LeftBehindException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.IOException
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds

@OptIn(ExperimentalCoroutinesApi::class)
class DepartureTest {
  private val resourceManager = FakeResourceManager()
  private val outcome = Outcome(FinalStatus.SUCCEEDED, "done", 0)
  private val released = CompletableDeferred<Unit>()

  private fun TestScope.activity() = ClientActivity { currentTime }

  private fun TestScope.departure(activity: ClientActivity = activity()) = Departure(resourceManager, activity) { currentTime }

  private class Call : ServerCall<Any, Any>() {
    override fun request(number: Int) = Unit

    override fun sendHeaders(headers: Metadata) = Unit

    override fun sendMessage(message: Any) = Unit

    override fun close(
      status: Status,
      trailers: Metadata,
    ) = Unit

    override fun isCancelled() = false

    override fun getMethodDescriptor(): MethodDescriptor<Any, Any> = throw UnsupportedOperationException()
  }

  /** A client's call; returns what its end is told to. */
  private fun ClientActivity.open(): ServerCall.Listener<Any> =
    interceptCall(Call(), Metadata()) { _, _ -> object : ServerCall.Listener<Any>() {} }

  @Test
  fun yarnIsToldUntilItListens() =
    runTest {
      var tries = 0
      resourceManager.unregistering = { if (++tries < 20) throw IOException("try $tries") }
      departure().unregister(outcome)
      assertEquals(listOf(outcome), resourceManager.outcomes)
      assertTrue(currentTime in 100_000..200_000, "tries get no closer than 10 s: $currentTime")
    }

  @Test
  fun aResourceManagerThatNeverListensIsGivenUpAndOneThatForgotUsAtOnce() =
    runTest {
      resourceManager.unregistering = { throw IOException("nobody is there") }
      assertInstanceOf(IOException::class.java, runCatching { departure().unregister(outcome) }.exceptionOrNull())
      assertTrue(currentTime.toInt() in 900_000..920_000, "$currentTime")
      val then = currentTime
      resourceManager.unregistering = { throw LeftBehindException(IOException("unknown")) }
      assertInstanceOf(LeftBehindException::class.java, runCatching { departure().unregister(outcome) }.exceptionOrNull())
      assertEquals(then, currentTime)
    }

  @Test
  fun withoutClientsItStaysAsLongAsItWasTold() =
    runTest {
      departure().linger(10.seconds, released)
      assertEquals(10_000, currentTime)
      departure().linger(Duration.ZERO, released)
      assertEquals(10_000, currentTime)
    }

  @Test
  fun anOpenCallKeepsIt() =
    runTest {
      val activity = activity()
      val call = activity.open()
      launch {
        delay(60_000)
        call.onComplete()
      }
      departure(activity).linger(10.seconds, released)
      assertTrue(currentTime.toInt() in 70_000..71_000, "$currentTime")
    }

  @Test
  fun aCallThatIsNeverClosedKeepsItForAWhileOnly() =
    runTest {
      val activity = activity().apply { open() }
      departure(activity).linger(10.seconds, released)
      assertEquals(Departure.MAX_LINGER.inWholeMilliseconds, currentTime)
      val later = currentTime
      departure().linger(1_000_000.minutes, released)
      assertEquals(later + Departure.MAX_LINGER.inWholeMilliseconds, currentTime)
    }

  @Test
  fun aClientReleasesItAtOnce() =
    runTest {
      val lingering = async { departure().linger(10.seconds, released) }
      advanceTimeBy(3_000)
      runCurrent()
      assertFalse(lingering.isCompleted)
      released.complete(Unit)
      lingering.await()
      assertEquals(3_000, currentTime)
    }
}

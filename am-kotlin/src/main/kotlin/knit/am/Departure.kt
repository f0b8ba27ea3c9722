package knit.am

import knit.am.core.Outcome
import knit.am.grpc.ClientActivity
import knit.am.yarn.LeftBehindException
import knit.am.yarn.ResourceManager
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.delay
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withTimeoutOrNull
import org.slf4j.LoggerFactory
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds

/**
 * What an Application Master does once all containers have ended.
 *
 * @param nowMillis a clock that never goes back
 */
internal class Departure(
  private val resourceManager: ResourceManager,
  private val activity: ClientActivity,
  private val nowMillis: () -> Long,
) {
  private val log = LoggerFactory.getLogger(Departure::class.java)

  /**
   * Tells the RM [outcome], and tries until that is done: an application whose end YARN never hears of is started again.
   *
   * @throws Exception the RM's last, where it has not taken it for as long as YARN's nodes wait for an RM.
   */
  suspend fun unregister(outcome: Outcome) {
    var wait = FIRST_WAIT
    val givenMillis = nowMillis()
    while (true) {
      try {
        resourceManager.unregister(outcome)
        log.info("Unregistered: {}, {}", outcome.finalStatus, outcome.diagnostics)
        return
      } catch (
        @Suppress("TooGenericExceptionCaught") failure: Exception,
      ) {
        currentCoroutineContext().ensureActive()
        if (failure is LeftBehindException || nowMillis() - givenMillis > UNREGISTER_LIMIT.inWholeMilliseconds) throw failure
        log.warn("YARN could not be told of the end; trying on: {}", failure.toString())
        delay(wait)
        wait = (wait * 2).coerceAtMost(MAX_WAIT)
      }
    }
  }

  /** Stays for clients that want to know how it ended, until none was heard for [limit] or one of them has [released] it. */
  suspend fun linger(
    limit: Duration,
    released: Deferred<Unit>,
  ) {
    val endMillis = nowMillis()
    withTimeoutOrNull(MAX_LINGER) {
      while (!released.isCompleted) {
        val quiet = minOf(activity.quietMillis(), nowMillis() - endMillis).milliseconds
        if (quiet >= limit) break
        withTimeoutOrNull((limit - quiet).coerceIn(MIN_LOOK, MAX_LOOK)) { released.await() }
      }
    }
    log.info("Leaving: {}", if (released.isCompleted) "released by a client" else "no client has been heard for $limit")
  }

  companion object {
    /** As `yarn.resourcemanager.connect.max-wait.ms` is by default. */
    val UNREGISTER_LIMIT: Duration = 15.minutes

    /** YARN ends an Application Master that has unregistered after 10 minutes, and its container is others' room. */
    val MAX_LINGER: Duration = 5.minutes
    private val FIRST_WAIT = 500.milliseconds
    private val MAX_WAIT = 10.seconds
    private val MIN_LOOK = 10.milliseconds
    private val MAX_LOOK = 500.milliseconds
  }
}

package knit.am.security

import knit.am.core.NoticeGiven
import knit.am.core.NoticeSeverity
import knit.am.core.Report
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.delay
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withTimeout
import org.apache.hadoop.security.AccessControlException
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.token.SecretManager
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.slf4j.LoggerFactory
import java.io.IOException
import java.time.Clock
import java.time.Duration
import java.time.Instant

/** Where tokens come from, by the keytab. Blocks; throws an [IOException] where it comes to nothing. */
internal interface TokenSource {
  /** File systems by their URLs, and the RM. */
  fun places(): List<String>

  /** Those of one place, which this application may renew itself, or the RM: whoever [use] says. */
  fun fetch(
    place: String,
    use: TokenUse,
  ): Credentials

  /** Returns until when one for [TokenUse.OWN] lives by that. */
  fun renew(token: Token<out TokenIdentifier>): Instant
}

/**
 * Has this application outlive its tokens: fetches new ones and renews them, as [TokenSchedule] says.
 *
 * What came with the submission the RM renews; programs submit with those until they are about to end.
 *
 * @param adopt told of new tokens, by every name that they go by: this process itself is to use them
 * @param tokensChanged called when programs are given others from now on; blocks. YARN replaces no token of a container that runs.
 */
internal class TokenKeeper(
  private val source: TokenSource,
  private val held: HeldTokens,
  private val clock: Clock,
  private val dispatcher: CoroutineDispatcher,
  private val adopt: (Credentials) -> Unit,
  private val tokensChanged: () -> Unit = {},
) {
  private val log = LoggerFactory.getLogger(TokenKeeper::class.java)

  /** Without end, unless there is nothing to fetch. What people should know is posted as notices. */
  suspend fun run(post: (Report) -> Unit) {
    val places =
      attempt(source::places) { failure ->
        told(1, "No new delegation tokens are fetched, for it cannot be told of what: ${failure.words()}.", post)
      } ?: return
    val start = clock.instant()
    val submissionStart = if (held.hasRmToken) held.lastsForSubmissions(start) else null
    val schedule = TokenSchedule<Token<out TokenIdentifier>>(places, start, submissionStart)
    while (true) {
      when (val step = schedule.next(clock.instant())) {
        is TokenSchedule.Step.Fetch -> fetch(step, schedule, post)

        is TokenSchedule.Step.Renew -> renew(step.token, schedule, post)

        // A clock may be set while it is waited for.
        is TokenSchedule.Step.Wait -> delay(Duration.between(clock.instant(), step.until).toMillis().coerceIn(1, LONGEST_WAIT_MILLIS))
      }
    }
  }

  private suspend fun fetch(
    step: TokenSchedule.Step.Fetch,
    schedule: TokenSchedule<Token<out TokenIdentifier>>,
    post: (Report) -> Unit,
  ) {
    val (place, use) = step
    val which = if (use == TokenUse.OWN) place else "$place for programs that submit"
    val fresh =
      attempt({ source.fetch(place, use) }) { failure ->
        val failures = schedule.fetchFailed(place, clock.instant(), use)
        val text = "New delegation tokens of $which could not be fetched with the keytab: ${failure.words()}. It is tried again."
        told(failures, text, post)
      } ?: return
    if (schedule.hasFailed(place, use)) {
      post(NoticeGiven(NoticeSeverity.INFO, "New delegation tokens of $which have been fetched with the keytab after all."))
    }
    val now = clock.instant()
    when (use) {
      TokenUse.OWN -> {
        schedule.fetched(place, fresh.allTokens.associateWith { it.delegation()?.maxDate?.toInstant() }, now)
        adopt(held.replace(fresh))
      }

      TokenUse.SUBMISSION -> {
        held.replaceForSubmissions(fresh, schedule.fetchedForSubmission(place, now))
      }
    }
    attempt(tokensChanged) { failure ->
      told(1, "Programs that run are not given the new delegation tokens of $which: ${failure.words()}.", post)
    }
    log.info("Fetched {} new delegation tokens of {}", fresh.numberOfTokens(), which)
  }

  private suspend fun renew(
    token: Token<out TokenIdentifier>,
    schedule: TokenSchedule<Token<out TokenIdentifier>>,
    post: (Report) -> Unit,
  ) {
    val expiry =
      attempt({ source.renew(token) }) { failure ->
        val isForGood =
          failure is SecretManager.InvalidToken || failure is AccessControlException || failure is UnsupportedOperationException
        val failures = schedule.renewalFailed(token, isForGood, clock.instant())
        val text =
          "The delegation token of ${token.service} (${token.kind}) could not be renewed: ${failure.words()}. " +
            if (isForGood) "Containers that hold it may lose it early." else "It is tried again."
        told(failures, text, post)
      } ?: return
    schedule.renewed(token, expiry, clock.instant())
  }

  private suspend fun <A : Any> attempt(
    work: () -> A,
    failed: (Exception) -> Unit,
  ): A? =
    try {
      withTimeout(CALL_LIMIT_MILLIS) { runInterruptible(dispatcher) { work() } }
    } catch (
      @Suppress("TooGenericExceptionCaught") failure: Exception,
    ) {
      if (failure is CancellationException && failure !is TimeoutCancellationException) throw failure
      failed(failure)
      null
    } catch (missing: LinkageError) {
      // Of a file system that is not Hadoop's own, classes may be there without those that they need.
      failed(IOException(missing.toString(), missing))
      null
    }

  /** The first of several failures in a row goes to whoever watches, all of them into the log. */
  private fun told(
    failures: Int,
    text: String,
    post: (Report) -> Unit,
  ) {
    log.warn(text)
    if (failures == 1) post(NoticeGiven(NoticeSeverity.WARNING, text))
  }

  /** Over the wire comes a whole stack trace. */
  private fun Exception.words(): String =
    toString()
      .lineSequence()
      .first()
      .take(MAX_WORDS)
      .trimEnd('.')

  private companion object {
    const val LONGEST_WAIT_MILLIS = 60_000L

    /** A pair of NameNodes or ResourceManagers takes so long to take over from each other, and the others must not wait for ever. */
    const val CALL_LIMIT_MILLIS = 120_000L
    const val MAX_WORDS = 300
  }
}

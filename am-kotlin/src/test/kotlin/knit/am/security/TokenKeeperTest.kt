package knit.am.security

import knit.am.core.NoticeGiven
import knit.am.core.NoticeSeverity
import knit.am.core.Report
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.StandardTestDispatcher
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runTest
import org.apache.hadoop.hdfs.security.token.delegation.DelegationTokenIdentifier
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.AccessControlException
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.token.SecretManager
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.apache.hadoop.yarn.security.client.RMDelegationTokenIdentifier
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.IOException
import java.time.Clock
import java.time.Duration
import java.time.Instant
import java.time.ZoneId
import java.time.ZoneOffset
import java.util.concurrent.CountDownLatch
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.minutes

@OptIn(ExperimentalCoroutinesApi::class)
class TokenKeeperTest {
  private val adopted = ArrayList<Credentials>()
  private var changes = 0
  private val posted = ArrayList<Report>()
  private val held =
    HeldTokens(
      Credentials().apply {
        val identifiers =
          listOf(
            DelegationTokenIdentifier(Text("ann"), Text("rm"), Text("")),
            RMDelegationTokenIdentifier(Text("ann"), Text("rm"), Text("")),
          )
        identifiers.forEach { it.maxDate = BEGINNING_MILLIS + 7.days() }
        val (hdfs, rm) = identifiers.map { it.bytes }
        addToken(Text("key of the client"), Token<TokenIdentifier>(hdfs, "submitted".toByteArray(), HDFS, Text("ha-hdfs:ns")))
        addToken(Text("rm"), Token<TokenIdentifier>(rm, "submitted".toByteArray(), RM_TOKEN_KIND, Text("rm:8032")))
      },
      isReplacing = true,
    )

  private inner class Scope(
    val test: TestScope,
  ) : TokenSource {
    var failure: Throwable? = null
    var renewalFailure: Exception? = null
    var life = 7.days()

    /** By how much the clock has been set. */
    var setBy = 0L
    var fetched = 0
    var submissionFailure: Exception? = null
    var fetchedForSubmissions = 0
    val renewed = ArrayList<String>()
    val clock =
      object : Clock() {
        override fun getZone(): ZoneId = ZoneOffset.UTC

        override fun withZone(zone: ZoneId): Clock = this

        override fun instant(): Instant = Instant.ofEpochMilli(BEGINNING_MILLIS + setBy + test.currentTime)
      }

    override fun places() = listOf("hdfs://ns")

    override fun fetch(
      place: String,
      use: TokenUse,
    ): Credentials {
      if (use == TokenUse.SUBMISSION) {
        submissionFailure?.let { throw it }
        val password = "to hand on ${++fetchedForSubmissions}".toByteArray()
        return Credentials().apply {
          addToken(
            Text("ha-hdfs:ns"),
            Token<TokenIdentifier>(byteArrayOf(fetchedForSubmissions.toByte()), password, HDFS, Text("ha-hdfs:ns")),
          )
        }
      }
      failure?.let { throw it }
      val identifier =
        DelegationTokenIdentifier(Text("ann"), Text("ann"), Text("")).apply {
          issueDate = clock.millis()
          maxDate = if (life == 0L) 0 else clock.millis() + life
          sequenceNumber = ++fetched
        }
      val token = Token<TokenIdentifier>(identifier.bytes, "fetched $fetched".toByteArray(), HDFS, Text("ha-hdfs:ns"))
      return Credentials().apply { addToken(Text("ha-hdfs:ns"), token) }
    }

    override fun renew(token: Token<out TokenIdentifier>): Instant {
      renewalFailure?.let { throw it }
      renewed += String(token.password)
      val maxDate = checkNotNull(token.delegation()).maxDate
      return Instant.ofEpochMilli(minOf(clock.millis() + 1.days(), if (maxDate == 0L) Long.MAX_VALUE else maxDate))
    }

    fun password() = held.forPrograms(withRmToken = false).password()

    fun passwordToHandOn() = held.forPrograms(withRmToken = true).forApplications().password()

    private fun Credentials.password() = String(checkNotNull(getToken(Text("key of the client"))).password)
  }

  private fun keeping(test: suspend Scope.() -> Unit) =
    runTest {
      val scope = Scope(this)
      val keeper = TokenKeeper(scope, held, scope.clock, StandardTestDispatcher(testScheduler), adopted::add) { changes++ }
      val job = launch { keeper.run(posted::add) }
      scope.test()
      job.cancel()
    }

  @Test
  fun whatIsLaunchedIsGivenWhatWasFetchedLastAndSoIsThisProcess() =
    keeping {
      test.advanceTimeBy(1.minutes)
      assertEquals("fetched 1", password())
      assertEquals(listOf("fetched 1"), adopted.map { String(it.getToken(Text("ha-hdfs:ns")).password) })
      assertEquals(1, changes)
      test.advanceTimeBy(40.hours)
      assertEquals("fetched 3", password())
      // Right after each fetch, and then every 18 hours.
      assertEquals(listOf(1, 1, 2, 1, 2, 3).map { "fetched $it" }, renewed)
      assertTrue(held.described().first().isReplaced)
      assertEquals(emptyList<Report>(), posted)
    }

  @Test
  fun programsSubmitWithWhatCameWithTheSubmissionAndBeforeThatEndsWithOthersThatTheRmCanRenew() =
    keeping {
      test.advanceTimeBy(126.hours - 1.minutes)
      assertEquals("submitted", passwordToHandOn())
      assertEquals("fetched 7", password())
      test.advanceTimeBy(2.minutes)
      assertEquals("to hand on 1", passwordToHandOn())
      test.advanceTimeBy(18.hours)
      assertEquals("to hand on 2", passwordToHandOn())
      assertEquals("fetched 9", password(), "both are fetched by themselves")
      assertTrue(renewed.none { "hand on" in it }, "that is the RM's")
      assertEquals(fetched + fetchedForSubmissions, changes)
      val told = held.described().single { it.expireTime != null }
      assertEquals(Instant.ofEpochMilli(BEGINNING_MILLIS).plus(Duration.ofHours(126 + 18 + 24)), told.expireTime)
      assertEquals(emptyList<Report>(), posted)
    }

  @Test
  fun whenThoseToSubmitWithCannotBeFetchedThatIsToldAndTheOthersAreNoneTheWorse() =
    keeping {
      submissionFailure = IOException("the node's configuration names no yarn.resourcemanager.principal")
      test.advanceTimeBy(150.hours)
      val warning = (posted.single() as NoticeGiven).text
      assertTrue("hdfs://ns for programs that submit" in warning && "yarn.resourcemanager.principal" in warning, warning)
      assertEquals("submitted", passwordToHandOn())
      assertEquals("fetched 9", password())
    }

  @Test
  fun whoeverIsNotToldOfNewOnesIsNoReasonToEnd() =
    runTest {
      val scope = Scope(this)
      val keeper =
        TokenKeeper(scope, held, scope.clock, StandardTestDispatcher(testScheduler), adopted::add) { throw IOException("No space left") }
      val job = launch { keeper.run(posted::add) }
      advanceTimeBy(20.hours)
      assertEquals("fetched 2", scope.password())
      assertTrue(posted.all { "No space left" in (it as NoticeGiven).text })
      job.cancel()
    }

  @Test
  fun whatFailsIsTriedAgainAndToldOnce() =
    keeping {
      failure = IOException("Connection refused\n\tat a.b.c")
      test.advanceTimeBy(30.minutes)
      val warning = posted.single() as NoticeGiven
      assertEquals(NoticeSeverity.WARNING, warning.severity)
      assertTrue("hdfs://ns" in warning.text && "Connection refused" in warning.text, warning.text)
      assertFalse("a.b.c" in warning.text, "one line")
      assertEquals("submitted", password(), "what it has is kept")
      failure = null
      test.advanceTimeBy(11.minutes)
      assertEquals("fetched 1", password())
      assertEquals(NoticeSeverity.INFO, (posted.last() as NoticeGiven).severity)
      assertEquals(2, posted.size)
    }

  @Test
  fun aRenewalThatIsRefusedIsTold() =
    keeping {
      renewalFailure = SecretManager.InvalidToken("token is expired")
      test.advanceTimeBy(1.hours)
      assertTrue("lose it early" in (posted.single() as NoticeGiven).text)
      test.advanceTimeBy(18.hours)
      assertEquals(2, fetched)
    }

  @Test
  fun whatDoesNotSayWhenItEndsIsNotFetchedAgainAtOnce() =
    keeping {
      life = 0
      test.advanceTimeBy(17.hours)
      assertEquals(1, fetched)
      assertEquals(listOf("fetched 1"), renewed)
      test.advanceTimeBy(2.hours)
      assertEquals(2, fetched)
    }

  @Test
  fun whatNobodyCanRenewIsTriedOnce() =
    keeping {
      var tries = 0
      renewalFailure =
        object : UnsupportedOperationException("Token renewal is not supported for S3ADelegationToken/Session tokens") {
          override fun toString() = super.toString().also { tries++ }
        }
      test.advanceTimeBy(10.hours)
      assertEquals(1, tries)
      assertTrue("not supported" in (posted.single() as NoticeGiven).text)
      test.advanceTimeBy(10.hours)
      assertEquals("fetched 2", password())
    }

  @Test
  fun aRenewalThatIsNotAllowedIsNotTriedAgain() =
    keeping {
      renewalFailure = AccessControlException("ann tries to renew a token with renewer rm")
      test.advanceTimeBy(1.hours)
      assertTrue("lose it early" in (posted.single() as NoticeGiven).text)
    }

  @Test
  fun aFileSystemWhoseClassesAreNotAllThereEndsNothing() =
    keeping {
      failure = NoClassDefFoundError("com/amazonaws/auth/AWSCredentials")
      test.advanceTimeBy(1.minutes)
      assertTrue("AWSCredentials" in (posted.single() as NoticeGiven).text)
      failure = null
      test.advanceTimeBy(11.minutes)
      assertEquals("fetched 1", password())
    }

  @Test
  fun aWholePageOfWordsIsCutShort() =
    keeping {
      failure = IOException("x".repeat(10_000))
      test.advanceTimeBy(1.minutes)
      assertTrue((posted.single() as NoticeGiven).text.length < 500)
    }

  @Test
  fun aClockThatIsSetIsNoticedWithinAMinute() =
    keeping {
      test.advanceTimeBy(1.hours)
      assertEquals(1, fetched)
      setBy = 18L * 3600 * 1000
      test.advanceTimeBy(2.minutes)
      assertEquals(2, fetched)
    }

  @Test
  fun whereNoProgramMaySubmitNothingIsFetchedForThat() =
    runTest {
      val scope = Scope(this)
      val unable = HeldTokens(held.forPrograms(withRmToken = false), isReplacing = true)
      val keeper = TokenKeeper(scope, unable, scope.clock, StandardTestDispatcher(testScheduler), adopted::add)
      val job = launch { keeper.run(posted::add) }
      advanceTimeBy(200.hours)
      assertEquals(0, scope.fetchedForSubmissions)
      assertTrue(scope.fetched > 10)
      job.cancel()
    }

  /** A keeper whose source is asked in a thread of its own, and does not answer. */
  private fun waiting(test: suspend TestScope.(Job) -> Unit) =
    runTest {
      val begun = CountDownLatch(1)
      val never = CountDownLatch(1)
      val scope = Scope(this)
      val source =
        object : TokenSource by scope {
          override fun fetch(
            place: String,
            use: TokenUse,
          ): Credentials {
            begun.countDown()
            never.await()
            return Credentials()
          }
        }
      val keeper = TokenKeeper(source, held, scope.clock, Dispatchers.IO, adopted::add)
      val job = launch { keeper.run(posted::add) }
      waitFor("it is asked") { begun.count == 0L }
      test(job)
      job.cancel()
      waitFor("it has ended") { job.isCompleted }
    }

  private fun TestScope.waitFor(
    what: String,
    isSo: () -> Boolean,
  ) {
    val end = System.nanoTime() + 60_000_000_000L
    while (!isSo()) {
      assertTrue(System.nanoTime() < end, what)
      testScheduler.runCurrent()
      Thread.sleep(5)
    }
  }

  @Test
  fun whatDoesNotAnswerIsGivenUpAndToldInTime() =
    waiting {
      testScheduler.advanceTimeBy(119_000)
      assertEquals(emptyList<Report>(), posted)
      testScheduler.advanceTimeBy(2_000)
      waitFor("it is told") { posted.isNotEmpty() }
      assertTrue("Timed out" in (posted.single() as NoticeGiven).text)
    }

  @Test
  fun anApplicationThatEndsMeanwhileIsNoFailure() =
    waiting { job ->
      job.cancel()
      waitFor("it has ended") { job.isCompleted }
      assertEquals(emptyList<Report>(), posted)
    }

  private companion object {
    val HDFS = Text("HDFS_DELEGATION_TOKEN")

    fun Int.days() = this * 24L * 3600 * 1000

    const val BEGINNING_MILLIS = 1_800_000_000_000L
  }
}

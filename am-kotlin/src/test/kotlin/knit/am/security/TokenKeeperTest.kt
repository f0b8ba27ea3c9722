package knit.am.security

import knit.am.core.NoticeGiven
import knit.am.core.NoticeSeverity
import knit.am.core.Report
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.StandardTestDispatcher
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runTest
import org.apache.hadoop.hdfs.security.token.delegation.DelegationTokenIdentifier
import org.apache.hadoop.io.Text
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
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.minutes

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
    var failure: Exception? = null
    var renewalFailure: Exception? = null
    var fetched = 0
    var submissionFailure: Exception? = null
    var fetchedForSubmissions = 0
    val renewed = ArrayList<String>()
    val clock =
      object : Clock() {
        override fun getZone(): ZoneId = ZoneOffset.UTC

        override fun withZone(zone: ZoneId): Clock = this

        override fun instant(): Instant = Instant.ofEpochMilli(BEGINNING_MILLIS + test.currentTime)
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
          maxDate = clock.millis() + 7.days()
          sequenceNumber = ++fetched
        }
      val token = Token<TokenIdentifier>(identifier.bytes, "fetched $fetched".toByteArray(), HDFS, Text("ha-hdfs:ns"))
      return Credentials().apply { addToken(Text("ha-hdfs:ns"), token) }
    }

    override fun renew(token: Token<out TokenIdentifier>): Instant {
      renewalFailure?.let { throw it }
      renewed += String(token.password)
      return Instant.ofEpochMilli(minOf(clock.millis() + 1.days(), checkNotNull(token.delegation()).maxDate))
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

  private companion object {
    val HDFS = Text("HDFS_DELEGATION_TOKEN")

    fun Int.days() = this * 24L * 3600 * 1000

    const val BEGINNING_MILLIS = 1_800_000_000_000L
  }
}

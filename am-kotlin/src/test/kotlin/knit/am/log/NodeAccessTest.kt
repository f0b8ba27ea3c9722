package knit.am.log

import com.sun.net.httpserver.HttpExchange
import knit.am.core.AmException
import knit.am.core.Reason
import knit.am.security.Negotiation
import knit.am.security.Negotiator
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import java.io.IOException
import java.util.Base64
import java.util.concurrent.CopyOnWriteArrayList

/** What nodes' web servers are told of who asks for logs. */
@Timeout(60)
class NodeAccessTest {
  private val node = FakeNodeServer()
  private val other = FakeNodeServer()
  private var millis = 1L

  @AfterEach
  fun close() {
    node.close()
    other.close()
  }

  /** Shows a new token each time, and takes `PROOF` for the server's. */
  private class FakeNegotiator : Negotiator {
    val hosts = CopyOnWriteArrayList<String>()
    val closed = CopyOnWriteArrayList<String>()

    override fun begin(host: String): Negotiation {
      hosts += host
      val mine = "token ${hosts.size}"
      return object : Negotiation {
        override val token = mine.toByteArray()

        override fun check(answer: ByteArray?) {
          if (answer?.let { String(it) } != PROOF) throw IOException("it is somebody else")
        }

        override fun close() {
          closed += mine
        }
      }
    }
  }

  private val negotiator = FakeNegotiator()

  private fun client(access: NodeAccess) = NodeLogClient(lazyOf(null), access)

  private fun withoutKeytab(userName: String? = null) = client(NodeAccess(userName, "ann", null) { millis })

  private fun withKeytab() = client(NodeAccess(null, "ann", negotiator) { millis })

  private fun NodeLogClient.read(from: FakeNodeServer = node): String =
    open(from.address, "container_1", "stdout", null).use { content -> content.next(100)?.let { String(it) }.orEmpty() }

  private fun HttpExchange.token() =
    requestHeaders
      .getFirst("Authorization")
      ?.removePrefix("Negotiate ")
      ?.let { String(Base64.getDecoder().decode(it)) }

  private fun HttpExchange.cookie() = requestHeaders.getFirst("Cookie")?.removePrefix("hadoop.auth=")

  private val shown = CopyOnWriteArrayList<String>()

  /** As Hadoop does: it takes a token once, then its own cookie, and proves itself. */
  private fun FakeNodeServer.wantKerberos(
    cookie: () -> String = { "\"u=ann&s=$address\"" },
    proof: String? = PROOF,
  ) {
    files["stdout"] = "hello".toByteArray()
    gate = { exchange ->
      val token = exchange.token()
      when {
        exchange.cookie() == cookie() -> {
          null
        }

        token != null && shown.add(token) && shown.count { it == token } == 1 -> {
          exchange.responseHeaders.add("Set-Cookie", "hadoop.auth=${cookie()}; Path=/; Secure; HttpOnly")
          proof?.let {
            exchange.responseHeaders.add(
              "WWW-Authenticate",
              "Negotiate " + Base64.getEncoder().encodeToString(it.toByteArray()),
            )
          }
          null
        }

        else -> {
          listOf("Negotiate")
        }
      }
    }
  }

  @Test
  fun nothingIsSaidToWhoDoesNotAsk() {
    node.files["stdout"] = "hello".toByteArray()
    assertEquals("hello", withKeytab().read())
    assertFalse("user.name" in node.requests.single())
    assertEquals(emptyList<String>(), negotiator.hosts)
  }

  @Test
  fun whoWantsANameIsToldTheOwnersAndAllOthersFromThenOnAtOnce() {
    for (server in listOf(node, other)) {
      server.files["stdout"] = "hello".toByteArray()
      server.gate = {
        if (it.requestURI.query
            .orEmpty()
            .contains("user.name=ann")
        ) {
          null
        } else {
          listOf("PseudoAuth")
        }
      }
    }
    val client = withoutKeytab()
    assertEquals("hello", client.read())
    assertEquals("hello", client.read())
    assertEquals("hello", client.read(other))
    assertEquals(listOf(3, 1), listOf(node.requests.size, other.requests.size))
  }

  @Test
  fun whoBelievesNoNameIsNotAskedForEver() {
    node.gate = { listOf("PseudoAuth") }
    val refused = assertThrows<IOException> { withoutKeytab().read() }
    assertTrue("401" in refused.message.orEmpty(), refused.message)
    assertEquals(2, node.requests.size)
  }

  @Test
  fun withoutAKeytabOneNodesRefusalStandsForAllForAMinute() {
    for (server in listOf(node, other)) server.gate = { listOf("Negotiate") }
    val client = withoutKeytab()
    val refused = assertThrows<AmException.FailedPrecondition> { client.read() }
    assertEquals(Reason.LOGS_NEED_KERBEROS, refused.reason)
    millis += NodeAccess.HOPELESS_MILLIS - 1
    repeat(3) { assertThrows<AmException.FailedPrecondition> { client.read(other) } }
    assertThrows<AmException.FailedPrecondition> { client.list(other.address, "container_1") }
    assertEquals(listOf(1, 0), listOf(node.requests.size, other.requests.size), "no other one was asked")
    millis += 1
    repeat(3) { assertThrows<AmException.FailedPrecondition> { client.read(other) } }
    assertEquals(1, other.requests.size, "one asks anew")
    // The cluster was configured anew.
    other.gate = { null }
    other.files["stdout"] = "hello".toByteArray()
    millis += NodeAccess.HOPELESS_MILLIS
    repeat(2) { assertEquals("hello", client.read(other)) }
  }

  @Test
  fun aNameThatIsToldUnaskedHelpsNobodyWhereKerberosIsWanted() {
    node.gate = { listOf("Negotiate") }
    assertThrows<AmException.FailedPrecondition> { withoutKeytab(userName = "ann").read() }
    assertEquals(1, node.requests.size)
  }

  @Test
  fun withAKeytabEachNodeIsShownATokenOnceAndItsOwnCookieFromThenOn() {
    node.wantKerberos()
    other.wantKerberos()
    val client = withKeytab()
    repeat(3) { assertEquals("hello", client.read()) }
    repeat(2) { assertEquals("hello", client.read(other)) }
    assertEquals(listOf(4, 2), listOf(node.requests.size, other.requests.size), "only the first was asked with nothing")
    assertEquals(listOf("token 1", "token 2"), shown)
    assertEquals(listOf("127.0.0.1", "127.0.0.1"), negotiator.hosts)
    assertEquals(negotiator.hosts.size, negotiator.closed.size)
  }

  @Test
  fun aCookieThatIsTakenNoMoreIsReplacedByAnotherToken() {
    var cookie = "\"u=ann&s=first\""
    node.wantKerberos(cookie = { cookie })
    val client = withKeytab()
    client.read()
    cookie = "\"u=ann&s=second\""
    repeat(2) { assertEquals("hello", client.read()) }
    assertEquals(listOf("token 1", "token 2"), shown)
  }

  @Test
  fun whoTakesNoTokenIsNotShownAnotherInTheSameBreath() {
    node.gate = { listOf("Negotiate") }
    val refused = assertThrows<IOException> { withKeytab().read() }
    assertTrue("401" in refused.message.orEmpty(), refused.message)
    assertEquals(2, node.requests.size)
    assertEquals(listOf("token 1"), negotiator.closed, "its talk is over")
  }

  @Test
  fun whatIsNoProofIsNotBelievedEither() {
    node.files["stdout"] = "hello".toByteArray()
    node.gate = { exchange ->
      if (exchange.token() == null) {
        listOf("Negotiate")
      } else {
        exchange.responseHeaders.add("WWW-Authenticate", "Negotiate of course!")
        null
      }
    }
    val refused = assertThrows<IOException> { withKeytab().read() }
    assertTrue("no proof" in refused.message.orEmpty(), refused.message)
    assertEquals(negotiator.hosts.size, negotiator.closed.size)
  }

  @Test
  fun aServerThatDoesNotProveItselfIsNotBelieved() {
    node.wantKerberos(proof = "somebody else")
    assertThrows<IOException> { withKeytab().read() }
    other.wantKerberos(proof = null)
    assertThrows<IOException> { withKeytab().read(other) }
  }

  @Test
  fun namesOfHeadersAndSchemesAreReadHoweverTheyAreWritten() {
    node.files["stdout"] = "hello".toByteArray()
    node.gate = { exchange ->
      if (exchange.token() == null) {
        listOf("negotiate")
      } else {
        exchange.responseHeaders.add("www-authenticate", "NEGOTIATE " + Base64.getEncoder().encodeToString(PROOF.toByteArray()))
        null
      }
    }
    assertEquals("hello", withKeytab().read())
    other.gate = { listOf("Negotiate oYH1MIHyoAMKAQChCwYJ") }
    assertThrows<AmException.FailedPrecondition> { withoutKeytab().read(other) }
  }

  @Test
  fun aNodeIsAskedForByItsNameWithoutThePort() {
    val access = NodeAccess(null, "ann", negotiator) { millis }
    for (address in listOf("node1.example:8042", "[fe80::1]:8042")) access.next(address, NodeAccess.Proof(), listOf("Negotiate"))?.close()
    assertEquals(listOf("node1.example", "[fe80::1]"), negotiator.hosts)
    assertEquals(2, negotiator.closed.size)
  }

  @Test
  fun whileOneAsksAnewTheOthersWaitForWhatItIsTold() {
    node.gate = { listOf("Negotiate") }
    val access = NodeAccess(null, "ann", null) { millis }
    assertThrows<AmException.FailedPrecondition> { client(access).read() }
    millis += NodeAccess.HOPELESS_MILLIS
    access.first(node.address)
    repeat(3) { assertThrows<AmException.FailedPrecondition> { access.first(other.address) } }
  }

  @Test
  fun aNameThatIsBelievedAnywayIsSaidAtOnce() {
    node.files["stdout"] = "hello".toByteArray()
    assertEquals("hello", withoutKeytab(userName = "ann").read())
    assertTrue("user.name=ann" in node.requests.single())
  }

  private companion object {
    const val PROOF = "it is me"
  }
}

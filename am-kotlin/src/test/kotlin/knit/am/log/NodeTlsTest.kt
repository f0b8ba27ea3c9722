package knit.am.log

import io.netty.handler.ssl.JdkSslContext
import io.netty.handler.ssl.SslContextBuilder
import io.netty.handler.ssl.SslProvider
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import java.io.IOException
import java.io.InputStream
import javax.net.ssl.SSLContext
import javax.net.ssl.SSLException

/** Where YARN's HTTP policy asks for TLS: who is believed, and that nothing is asked of anybody else. */
@Timeout(60)
class NodeTlsTest {
  private val node =
    FakeNodeServer(SslContextBuilder.forServer(resource("server.pem"), resource("server.key")).jdk()).apply {
      files["stdout"] = "some".toByteArray()
    }
  private val container = "container_1"

  @AfterEach
  fun closeNode() = node.close()

  private fun resource(name: String): InputStream = checkNotNull(javaClass.getResourceAsStream("/tls/$name")) { name }

  private fun SslContextBuilder.jdk(): SSLContext = (sslProvider(SslProvider.JDK).build() as JdkSslContext).context()

  private fun client(
    authority: String = "ca.pem",
    isHost: (String) -> Boolean = { true },
  ): NodeLogClient {
    val factory =
      SslContextBuilder
        .forClient()
        .trustManager(resource(authority))
        .jdk()
        .socketFactory
    return NodeLogClient(lazyOf(NodeTls(factory) { host, _ -> isHost(host) }), NodeAccess("ann"))
  }

  @Test
  fun aNodeWhoseCertificateIsTrustedIsRead() {
    val hosts = mutableListOf<String>()
    val client = client { hosts.add(it) }
    assertEquals(listOf(LogFile("stdout", 4)), client.list(node.address, container))
    val content = client.open(node.address, container, "stdout", null).use { it.next(100) }
    assertEquals("some", String(checkNotNull(content)))
    assertEquals(setOf("127.0.0.1"), hosts.toSet())
    assertTrue(node.requests.all { "user.name=ann" in it }, "${node.requests}")
  }

  @Test
  fun oneWhoseCertificateIsAnothersIsAskedForNothing() {
    assertThrows(SSLException::class.java) { client("other-ca.pem").list(node.address, container) }
    assertThrows(IOException::class.java) { client { false }.list(node.address, container) }
    assertThrows(IOException::class.java) { NodeLogClient(lazyOf(null), NodeAccess("ann")).list(node.address, container) }
    assertEquals(emptyList<String>(), node.requests)
  }
}

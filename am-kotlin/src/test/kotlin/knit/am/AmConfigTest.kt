package knit.am

import knit.am.grpc.documentOf
import knit.am.security.ContainerKeys
import knit.am.security.Tls
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.nio.file.Paths
import java.time.Duration

class AmConfigTest {
  private val environment =
    mapOf("CONTAINER_ID" to "container_e17_1410901177871_0005_02_000001", "NM_HOST" to "node1", "LOG_DIRS" to "/logs/a,/logs/b")

  private fun config(environment: Map<String, String>) =
    AmConfig.of(
      environment,
      documentOf(Submission("demo", emptyMap(), Duration.ZERO, null, null)),
      Tls(ByteArray(0), ByteArray(0), ByteArray(0)),
      ContainerKeys(ByteArray(0), ByteArray(0), ByteArray(32)),
    )

  @Test
  fun whatYarnSaysIsRead() {
    val config = config(environment)
    assertEquals("application_1410901177871_0005", config.applicationId)
    assertEquals(2, config.attemptNumber)
    assertEquals("node1", config.host)
    assertEquals(Paths.get("/logs/a"), config.logDirectory)
    assertEquals(1, config.maxAttempts)
    assertEquals(3, config(environment + ("MAX_APP_ATTEMPTS" to "3")).maxAttempts)
    val lease = config(environment + mapOf("NM_PORT" to "8041", "NM_HTTP_PORT" to "8042")).lease
    assertEquals(
      listOf(environment["CONTAINER_ID"], "node1:8041", "node1:8042"),
      listOf(lease.containerId, lease.nodeId, lease.nodeHttpAddress),
    )
    assertNull(config(environment - "LOG_DIRS").logDirectory)
  }

  @Test
  fun eachAttemptHasAHistoryOfItsOwn() {
    assertNotEquals(config(environment).historyId, config(environment).historyId)
  }

  @Test
  fun whatIsMissingIsNamed() {
    for (name in listOf("CONTAINER_ID", "NM_HOST")) {
      val failure = assertThrows<IllegalStateException> { config(environment - name) }
      assertTrue(name in failure.message.orEmpty())
    }
  }
}

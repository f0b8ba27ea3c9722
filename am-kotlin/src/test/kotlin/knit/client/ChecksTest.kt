package knit.client

import knit.am.core.Resource
import org.apache.hadoop.ipc.RemoteException
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.IOException
import java.net.ConnectException
import java.net.SocketTimeoutException
import java.net.UnknownHostException

class ChecksTest {
  private val queues =
    FakeYarn().queues() + Yarn.Queue("root.team", isLeaf = false, isRunning = true) + Yarn.Queue("root.team.a", true, true)

  private fun refusal(check: () -> Unit) = assertThrows(RefusedException::class.java) { check() }.message.orEmpty()

  @Test
  fun aQueueIsMeantByItsPathOrByItsLastPart() {
    for (name in listOf("default", "root.default", "root.team.a", "team.a", "a")) checkQueue(queues, name)
    checkQueue(null, "made-as-needed")
  }

  @Test
  fun aQueueThatTakesNothingIsToldWithThoseThatDo() {
    val table =
      mapOf(
        "nope" to "no queue 'nope'",
        "root" to "only holds",
        "team" to "only holds",
        "closed" to "is stopped",
        "default.x" to "no queue",
      )
    for ((name, said) in table) {
      val message = refusal { checkQueue(queues, name) }
      assertTrue(said in message, message)
      assertTrue("root.default, root.team.a" in message, message)
    }
  }

  @Test
  fun whatNoNodeHasIsToldWithWhatThereIs() {
    val nodes = listOf(Yarn.Node("small:1", Resource(1024, 16)), Yarn.Node("large:1", Resource(4096, 2)))

    fun check(size: Resource) = checkResources(nodes, maximum = Resource(8192, 8), mapOf("The command" to size))
    check(Resource(4096, 2))
    check(Resource(1024, 8))
    assertTrue("large:1" in refusal { check(Resource(4097, 1)) })
    assertTrue("2000 MB and 3 vcores" in refusal { check(Resource(2000, 3)) })
    assertTrue("YARN grants at most 8192 MB and 8 vcores" in refusal { check(Resource(9000, 1)) })
    assertTrue("YARN grants at most" in refusal { check(Resource(1, 9)) })
    assertTrue("no running node" in refusal { checkResources(emptyList(), Resource(1, 1), emptyMap()) })
  }

  @Test
  fun whatHadoopThrowsBecomesOneSentence() {
    val refused =
      ConnectException("Call From a/1 to b:1 failed on connection exception; see http://wiki").apply {
        initCause(ConnectException("Connection refused"))
      }
    val unknown = IllegalArgumentException("java.net.UnknownHostException: nn", UnknownHostException("nn"))
    val table =
      mapOf<Exception, String>(
        refused to "Connection refused",
        unknown to "its host name is not known here",
        SocketTimeoutException("30000 millis timeout while waiting; see http://wiki") to "it does not answer in time",
        RemoteException("x.SafeModeException", "Cannot create. Name node is in safe mode.\nResources are low.\n\tat x.Y") to
          "Cannot create. Name node is in safe mode",
        IOException("no") to "no",
        IOException() to "IOException",
      )
    for ((failure, reason) in table) assertEquals(reason, reasonOf(failure))
    val told = refusal { asking({ "Asking" }, "Look.") { throw refused } }
    assertEquals("Asking: Connection refused. Look.", told)
    val kerberos = refusal { asking({ "Asking" }, "Look.") { throw IOException("GSS initiate failed [Caused by ...]") } }
    assertTrue("kinit" in kerberos, kerberos)
    assertEquals("as it is", refusal { asking({ "Asking" }, "Look.") { throw RefusedException("as it is") } })
  }
}

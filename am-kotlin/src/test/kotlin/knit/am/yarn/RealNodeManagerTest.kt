package knit.am.yarn

import knit.am.core.Lease
import knit.am.core.LocalResource
import knit.am.core.SMALL
import knit.am.security.HeldTokens
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.runBlocking
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.yarn.api.ContainerManagementProtocol
import org.apache.hadoop.yarn.api.protocolrecords.StartContainersRequest
import org.apache.hadoop.yarn.api.protocolrecords.StartContainersResponse
import org.apache.hadoop.yarn.api.protocolrecords.StopContainersRequest
import org.apache.hadoop.yarn.api.protocolrecords.StopContainersResponse
import org.apache.hadoop.yarn.api.records.ContainerId
import org.apache.hadoop.yarn.api.records.NodeId
import org.apache.hadoop.yarn.api.records.Priority
import org.apache.hadoop.yarn.api.records.SerializedException
import org.apache.hadoop.yarn.api.records.Token
import org.apache.hadoop.yarn.exceptions.YarnException
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.io.IOException
import java.lang.reflect.Proxy
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import org.apache.hadoop.yarn.api.records.Container as YarnContainer

class RealNodeManagerTest {
  private val leases = Leases()
  private val node = FakeNode()
  private val manager =
    RealNodeManager(leases, LaunchContexts(HeldTokens(Credentials())), Dispatchers.IO, NodeConnections(node))
  private val spec = LaunchSpec("true", emptyMap(), emptyMap())

  private fun token(password: String = "p") = Token.newInstance(ByteArray(0), "NMToken", password.toByteArray(), "service")

  /** What YARN granted, and our own name for it. */
  private fun granted(number: Int): Lease {
    val id = ContainerId.fromString("container_1_0001_01_%06d".format(number))
    leases.add(
      YarnContainer.newInstance(id, NodeId.newInstance("node1", 8041), "node1:8042", SMALL.toYarn(), Priority.newInstance(1), token()),
    )
    return Lease(id.toString(), "node1:8041", "node1:8042", SMALL)
  }

  /** A NodeManager's protocol, and how often a connection was opened and closed. */
  private inner class FakeNode : NodeConnector {
    val opened = CopyOnWriteArrayList<Token>()
    val closed = CopyOnWriteArrayList<ContainerManagementProtocol>()
    val started = CopyOnWriteArrayList<ContainerId>()
    val stopped = CopyOnWriteArrayList<ContainerId>()
    var failure: Throwable? = null
    var answering: () -> Unit = {}

    @Volatile
    var token: Token? = token()

    override fun token(nodeId: String) = token

    override fun open(
      lease: Lease,
      token: Token,
    ): ContainerManagementProtocol {
      opened += token
      val types = arrayOf(ContainerManagementProtocol::class.java)
      return Proxy.newProxyInstance(javaClass.classLoader, types) { self, method, arguments ->
        when (method.name) {
          "startContainers" -> {
            answering()
            val ids = (arguments[0] as StartContainersRequest).startContainerRequests.map { ContainerId.fromString(lease.containerId) }
            started += ids
            StartContainersResponse.newInstance(emptyMap(), ids, failed(ids))
          }

          "stopContainers" -> {
            answering()
            val ids = (arguments[0] as StopContainersRequest).containerIds
            stopped += ids
            StopContainersResponse.newInstance(ids, failed(ids))
          }

          "hashCode" -> {
            System.identityHashCode(self)
          }

          "equals" -> {
            self === arguments[0]
          }

          else -> {
            method.name
          }
        }
      } as ContainerManagementProtocol
    }

    private fun failed(ids: List<ContainerId>): Map<ContainerId, SerializedException> =
      failure?.let { cause -> ids.associateWith { SerializedException.newInstance(cause) } }.orEmpty()

    override fun close(connection: ContainerManagementProtocol) {
      closed += connection
    }
  }

  @Test
  fun aNodeIsToldToStartAndToStop() =
    runBlocking {
      val lease = granted(1)
      manager.launch(lease, spec)
      manager.stop(lease)
      assertEquals(listOf(lease.containerId), node.started.map { it.toString() })
      assertEquals(listOf(lease.containerId), node.stopped.map { it.toString() })
      assertEquals(2, node.closed.size, "no connection stays open")
    }

  @Test
  fun aRefusalIsTheNodesAnswerAndNoSilence() {
    for (cause in listOf(YarnException("no room"), IOException("disk full"))) {
      node.failure = cause
      val failure = assertThrows<YarnException> { runBlocking { manager.launch(granted(1), spec) } }
      assertTrue(cause.message.orEmpty() in failure.toString(), "$failure")
      assertThrows<YarnException> { runBlocking { manager.stop(granted(1)) } }
    }
  }

  @Test
  fun whatNoNodeCouldLaunchIsToldApart() {
    val file = LocalResource("hdfs://nn/a b", 1, 2, LocalResource.Type.FILE, LocalResource.Visibility.PRIVATE)
    assertThrows<UnlaunchableException> { runBlocking { manager.launch(granted(1), spec.copy(described = mapOf("a" to file))) } }
    assertEquals(0, node.opened.size)
  }

  @Test
  fun aLeaseThatYarnHasTakenBackIsNotUsed() {
    val lease = granted(1).also { leases.remove(it.containerId) }
    assertThrows<NodeNotAskedException> { runBlocking { manager.launch(lease, spec) } }
    node.token = null
    assertThrows<NodeNotAskedException> { runBlocking { manager.launch(granted(2), spec) } }
    assertEquals(0, node.opened.size)
  }

  @Test
  fun callsAtTheSameTimeShareAConnectionUntilTheTokenIsRenewed() {
    val number = 4
    val all = CountDownLatch(number)
    node.answering = {
      all.countDown()
      assertTrue(all.await(20, TimeUnit.SECONDS))
    }
    runBlocking(Dispatchers.IO) { coroutineScope { List(number) { async { manager.stop(granted(it + 1)) } }.awaitAll() } }
    assertEquals(1, node.opened.size)
    assertEquals(1, node.closed.size)

    node.answering = {}
    val inside = granted(9)
    node.answering = {
      node.answering = {}
      node.token = token("renewed")
      runBlocking { manager.stop(inside) }
    }
    runBlocking { manager.stop(granted(8)) }
    assertEquals(3, node.opened.size, "a renewed token needs a connection of its own")
    assertEquals(3, node.closed.size)
  }
}

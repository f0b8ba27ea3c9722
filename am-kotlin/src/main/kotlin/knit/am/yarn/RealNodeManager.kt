package knit.am.yarn

import knit.am.core.Lease
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.runInterruptible
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.ipc.RPC
import org.apache.hadoop.net.NetUtils
import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.yarn.api.ContainerManagementProtocol
import org.apache.hadoop.yarn.api.protocolrecords.StartContainerRequest
import org.apache.hadoop.yarn.api.protocolrecords.StartContainersRequest
import org.apache.hadoop.yarn.api.protocolrecords.StopContainersRequest
import org.apache.hadoop.yarn.api.records.ContainerId
import org.apache.hadoop.yarn.api.records.SerializedException
import org.apache.hadoop.yarn.api.records.Token
import org.apache.hadoop.yarn.client.NMProxy
import org.apache.hadoop.yarn.client.api.NMTokenCache
import org.apache.hadoop.yarn.conf.YarnConfiguration
import org.apache.hadoop.yarn.exceptions.YarnException
import org.apache.hadoop.yarn.ipc.YarnRPC
import org.apache.hadoop.yarn.security.NMTokenIdentifier
import org.apache.hadoop.yarn.util.ConverterUtils
import java.io.IOException

/**
 * NodeManagers behind YARN's own protocol.
 *
 * YARN's client for it remembers every container it has started until it is told to stop it; most end by themselves.
 */
internal class RealNodeManager(
  private val leases: Leases,
  private val contexts: LaunchContexts,
  private val dispatcher: CoroutineDispatcher,
  private val connections: NodeConnections,
) : NodeManager {
  constructor(
    nodeConfiguration: Lazy<Configuration>,
    leases: Leases,
    contexts: LaunchContexts,
    dispatcher: CoroutineDispatcher,
  ) : this(leases, contexts, dispatcher, NodeConnections(RpcConnector(nodeConfiguration)))

  override suspend fun launch(
    lease: Lease,
    spec: LaunchSpec,
  ) {
    val container = leases[lease.containerId] ?: throw NodeNotAskedException("YARN has taken ${lease.containerId} back")
    val context =
      try {
        contexts.of(spec)
      } catch (
        @Suppress("TooGenericExceptionCaught") failure: Exception,
      ) {
        throw UnlaunchableException(failure)
      }
    val request = StartContainersRequest.newInstance(listOf(StartContainerRequest.newInstance(context, container.containerToken)))
    call(lease) { it.startContainers(request).failedRequests }
  }

  override suspend fun stop(lease: Lease) {
    val request = StopContainersRequest.newInstance(listOf(ContainerId.fromString(lease.containerId)))
    call(lease) { it.stopContainers(request).failedRequests }
  }

  private suspend fun call(
    lease: Lease,
    work: (ContainerManagementProtocol) -> Map<ContainerId, SerializedException>?,
  ) {
    val failed = runInterruptible(dispatcher) { connections.use(lease, work) }
    failed?.get(ContainerId.fromString(lease.containerId))?.let { throw answerOf(it) }
  }

  /** A refusal comes from a node that answers, whatever its class. */
  private fun answerOf(failure: SerializedException): Exception {
    val cause = failure.deSerialize()
    return if (cause is IOException) YarnException(cause.message, cause) else cause as? Exception ?: YarnException(cause)
  }
}

/** Opens and closes connections to NodeManagers. Blocks. */
internal interface NodeConnector {
  /** The token that [nodeId] asks for; null where the RM has sent none. */
  fun token(nodeId: String): Token?

  fun open(
    lease: Lease,
    token: Token,
  ): ContainerManagementProtocol

  fun close(connection: ContainerManagementProtocol)
}

/** One connection to a node for all who call it at the same time: opening one takes a handshake. None is kept beyond that. */
internal class NodeConnections(
  private val connector: NodeConnector,
) {
  /** Guarded by this. */
  private val open = HashMap<String, Shared>()

  /** Blocks. */
  fun <T> use(
    lease: Lease,
    work: (ContainerManagementProtocol) -> T,
  ): T {
    val token = connector.token(lease.nodeId) ?: throw NodeNotAskedException("The ResourceManager has sent no token for ${lease.nodeId}")
    val shared = join(lease, token)
    try {
      return work(shared.connection.value)
    } finally {
      leave(lease.nodeId, shared)
    }
  }

  @Synchronized
  private fun join(
    lease: Lease,
    token: Token,
  ): Shared {
    val there = open[lease.nodeId]
    // The RM renews the tokens of its nodes now and then.
    val shared = if (there?.token == token) there else Shared(token, lazy { connector.open(lease, token) }).also { open[lease.nodeId] = it }
    return shared.also { it.users++ }
  }

  private fun leave(
    nodeId: String,
    shared: Shared,
  ) {
    if (isUnused(nodeId, shared) && shared.connection.isInitialized()) connector.close(shared.connection.value)
  }

  @Synchronized
  private fun isUnused(
    nodeId: String,
    shared: Shared,
  ): Boolean {
    if (--shared.users > 0) return false
    open.remove(nodeId, shared)
    return true
  }

  private class Shared(
    val token: Token,
    val connection: Lazy<ContainerManagementProtocol>,
  ) {
    /** Guarded by the connections. */
    var users = 0
  }
}

private class RpcConnector(
  nodeConfiguration: Lazy<Configuration>,
) : NodeConnector {
  private val configuration by lazy { quickToGiveUp(nodeConfiguration.value) }
  private val rpc by lazy { YarnRPC.create(configuration) }

  override fun token(nodeId: String): Token? = NMTokenCache.getNMToken(nodeId)

  override fun open(
    lease: Lease,
    token: Token,
  ): ContainerManagementProtocol {
    val address = NetUtils.createSocketAddr(lease.nodeId)
    // NodeManagers know an Application Master by its attempt.
    val attemptId = ContainerId.fromString(lease.containerId).applicationAttemptId
    val user = UserGroupInformation.createRemoteUser(attemptId.toString())
    user.addToken(ConverterUtils.convertFromYarn<NMTokenIdentifier>(token, address))
    return NMProxy.createNMProxy(configuration, ContainerManagementProtocol::class.java, user, rpc, address)
  }

  override fun close(connection: ContainerManagementProtocol) = RPC.stopProxy(connection)

  private companion object {
    /** Returns the node's configuration, changed so that a node that is down is given up after seconds, not minutes. */
    fun quickToGiveUp(configuration: Configuration): Configuration =
      YarnConfiguration(configuration).apply {
        setLong("yarn.client.nodemanager-connect.max-wait-ms", 10_000)
        setLong("yarn.client.nodemanager-connect.retry-interval-ms", 1_000)
        setInt("ipc.client.connect.timeout", 5_000)
        setInt("ipc.client.connect.max.retries", 1)
        setInt("ipc.client.connect.max.retries.on.timeouts", 1)
        setInt("ipc.client.rpc-timeout.ms", 15_000)
        setInt("ipc.client.connection.maxidletime", 1_000)
      }
  }
}

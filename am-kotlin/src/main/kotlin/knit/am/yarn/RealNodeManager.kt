package knit.am.yarn

import knit.am.core.Lease
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withTimeoutOrNull
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.yarn.api.records.ContainerId
import org.apache.hadoop.yarn.api.records.NodeId
import org.apache.hadoop.yarn.client.api.NMClient
import org.apache.hadoop.yarn.conf.YarnConfiguration
import java.io.IOException

/** NodeManagers behind YARN's own client, any number of them at a time, with a limit to how long each may take. */
internal class RealNodeManager(
  nodeConfiguration: Lazy<Configuration>,
  private val leases: Leases,
  private val contexts: LaunchContexts,
  private val dispatcher: CoroutineDispatcher,
) : NodeManager {
  private val client: NMClient by lazy {
    NMClient.createNMClient().apply {
      // The end of this process is no reason to end the containers: YARN does where it should.
      cleanupRunningContainersOnStop(false)
      init(quickToGiveUp(nodeConfiguration.value))
      start()
    }
  }

  override suspend fun launch(
    lease: Lease,
    spec: LaunchSpec,
  ) {
    val container = leases[lease.containerId] ?: throw IOException("YARN has taken ${lease.containerId} back")
    val context = contexts.of(spec)
    inTime(lease, "start") { client.startContainer(container, context) }
  }

  override suspend fun stop(lease: Lease) {
    inTime(lease, "stop") { client.stopContainer(ContainerId.fromString(lease.containerId), NodeId.fromString(lease.nodeId)) }
  }

  private suspend fun inTime(
    lease: Lease,
    verb: String,
    call: () -> Unit,
  ) {
    withTimeoutOrNull(CALL_TIMEOUT_MILLIS) { runInterruptible(dispatcher, call) }
      ?: throw IOException("NodeManager ${lease.nodeId} did not $verb the container within ${CALL_TIMEOUT_MILLIS / 1000} s")
  }

  private companion object {
    const val CALL_TIMEOUT_MILLIS = 30_000L

    /** Returns the node's configuration, changed so that a node that is down is given up after seconds, not minutes. */
    fun quickToGiveUp(configuration: Configuration): Configuration =
      YarnConfiguration(configuration).apply {
        setLong("yarn.client.nodemanager-connect.max-wait-ms", 10_000)
        setLong("yarn.client.nodemanager-connect.retry-interval-ms", 1_000)
        setInt("ipc.client.connect.timeout", 5_000)
        setInt("ipc.client.connect.max.retries", 1)
        setInt("ipc.client.connect.max.retries.on.timeouts", 1)
        setInt("ipc.client.rpc-timeout.ms", 15_000)
      }
  }
}

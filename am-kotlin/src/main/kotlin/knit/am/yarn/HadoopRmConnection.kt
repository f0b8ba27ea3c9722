package knit.am.yarn

import knit.am.security.RM_TOKEN_KIND
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.yarn.api.ApplicationMasterProtocol
import org.apache.hadoop.yarn.api.records.NodeReport
import org.apache.hadoop.yarn.api.records.NodeState
import org.apache.hadoop.yarn.api.records.QueueInfo
import org.apache.hadoop.yarn.client.ClientRMProxy
import org.apache.hadoop.yarn.client.api.NMTokenCache
import org.apache.hadoop.yarn.client.api.YarnClient
import org.apache.hadoop.yarn.conf.YarnConfiguration
import org.apache.hadoop.yarn.security.AMRMTokenIdentifier
import org.apache.hadoop.security.token.Token as SecurityToken
import org.apache.hadoop.yarn.api.records.Token as YarnToken

/** The RM by Hadoop's own proxy, which finds the active one of a pair and tries again where it does not answer. */
internal class HadoopRmConnection(
  nodeConfiguration: Configuration,
  private val isSecurityEnabled: () -> Boolean = UserGroupInformation::isSecurityEnabled,
) : RmConnection {
  private val configuration = quickToReturn(nodeConfiguration)

  override val protocol: ApplicationMasterProtocol = ClientRMProxy.createRMProxy(configuration, ApplicationMasterProtocol::class.java)

  override val namesHavePorts = configuration.getBoolean(NAMES_HAVE_PORTS, false)

  override val isClient: Boolean
    get() = !isSecurityEnabled() || UserGroupInformation.getCurrentUser().tokens.any { it.kind == RM_TOKEN_KIND }

  private val yarn: YarnClient by lazy {
    YarnClient.createYarnClient().apply {
      init(configuration)
      start()
    }
  }

  override fun nodeReports(): List<NodeReport> = yarn.getNodeReports(NodeState.RUNNING)

  override fun queueInfo(name: String): QueueInfo? = yarn.getQueueInfo(name)

  override fun useToken(token: YarnToken) {
    val mine = SecurityToken<AMRMTokenIdentifier>(token.identifier.array(), token.password.array(), Text(token.kind), Text(token.service))
    // Added under the name the RM gave it, so that it takes the place of the one before; calls look for it by the RM's address.
    UserGroupInformation.getCurrentUser().addToken(mine)
    mine.service = ClientRMProxy.getAMRMTokenService(configuration)
  }

  /** Where YARN's client for nodes looks for it. */
  override fun useNodeToken(
    nodeId: String,
    token: YarnToken,
  ) = NMTokenCache.setNMToken(nodeId, token)

  private companion object {
    const val NAMES_HAVE_PORTS = "yarn.scheduler.include-port-in-node-name"
    const val RETRY_MILLIS = 1_000L

    /** An RM that hangs keeps the connection, and would be waited for without end. */
    const val ANSWER_TIMEOUT = "ipc.client.rpc-timeout.ms"
    const val ANSWER_TIMEOUT_MILLIS = 30_000

    /** Returns the node's configuration, changed so that an RM that comes back is found within a second or two. */
    fun quickToReturn(configuration: Configuration): Configuration =
      YarnConfiguration(configuration).apply {
        val retry = getLong(YarnConfiguration.RESOURCEMANAGER_CONNECT_RETRY_INTERVAL_MS, RETRY_MILLIS)
        setLong(YarnConfiguration.RESOURCEMANAGER_CONNECT_RETRY_INTERVAL_MS, retry.coerceIn(1, RETRY_MILLIS))
        if (getInt(ANSWER_TIMEOUT, 0) == 0) setInt(ANSWER_TIMEOUT, ANSWER_TIMEOUT_MILLIS)
      }
  }
}

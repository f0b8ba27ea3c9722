package knit.client

import knit.am.yarn.toDomain
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.apache.hadoop.yarn.api.records.ApplicationId
import org.apache.hadoop.yarn.api.records.ApplicationSubmissionContext
import org.apache.hadoop.yarn.api.records.NodeState
import org.apache.hadoop.yarn.api.records.QueueInfo
import org.apache.hadoop.yarn.api.records.QueueState
import org.apache.hadoop.yarn.client.ClientRMProxy
import org.apache.hadoop.yarn.client.api.YarnClient
import org.apache.hadoop.yarn.util.ConverterUtils

/** The ResourceManager behind Hadoop's own client. */
internal class RealYarn(
  private val configuration: Configuration,
) : Yarn {
  // Loading it takes a while, so it is left to whoever asks first.
  private val connection = lazy { YarnClient.createYarnClient().apply { init(configuration) }.apply { start() } }
  private val client: YarnClient by connection

  override val address: String
    get() = addresses.joinToString(" or ")

  override val identity: String
    get() = addresses.mapTo(sortedSetOf()) { it.lowercase() }.joinToString(",")

  /** Each `host:port`, of several where they stand in for each other. */
  private val addresses: List<String>
    get() {
      val names = if (configuration.getBoolean(HIGH_AVAILABILITY, false)) configuration.getTrimmedStrings(IDS).toList() else emptyList()
      val found = names.map { configuration.getTrimmed("$ADDRESS.$it") ?: configuration.getTrimmed("$HOST_NAME.$it") ?: it }
      return found.ifEmpty { listOf(configuration.getTrimmed(ADDRESS, DEFAULT_HOST)) }.map { if (':' in it) it else "$it:$DEFAULT_PORT" }
    }

  override fun newApplication(): Yarn.NewApplication =
    client.createApplication().newApplicationResponse.let { Yarn.NewApplication(it.applicationId, it.maximumResourceCapability.toDomain()) }

  override fun queues(): List<Yarn.Queue>? {
    // The fair scheduler makes queues as they are asked for, unless it is told otherwise; it knows best.
    if ("FairScheduler" in configuration.get(SCHEDULER, "")) return null
    return listOf(Yarn.Queue(ROOT, isLeaf = false, isRunning = true)) + client.rootQueueInfos.flatMap { it.below(ROOT) }
  }

  private fun QueueInfo.below(parent: String): List<Yarn.Queue> {
    val path = if (queueName.startsWith("$ROOT.")) queueName else "$parent.$queueName"
    val children = childQueues.orEmpty()
    return listOf(Yarn.Queue(path, children.isEmpty(), queueState == QueueState.RUNNING)) + children.flatMap { it.below(path) }
  }

  override fun nodes(): List<Yarn.Node> =
    client.getNodeReports(NodeState.RUNNING).map {
      Yarn.Node(it.nodeId.toString(), it.capability.toDomain())
    }

  override fun submit(context: ApplicationSubmissionContext) {
    client.submitApplication(context)
  }

  override fun report(id: ApplicationId): Yarn.Report =
    client.getApplicationReport(id).let { report ->
      Yarn.Report(
        state = report.yarnApplicationState,
        finalStatus = report.finalApplicationStatus,
        diagnostics = report.diagnostics.orEmpty(),
        // "N/A" and -1 before the Application Master has registered.
        address = report.host?.takeIf { report.rpcPort > 0 }?.let { it to report.rpcPort },
        finishTimeMillis = report.finishTime,
      )
    }

  override fun kill(id: ApplicationId) = client.killApplication(id)

  override fun delegationToken(renewer: String): Token<out TokenIdentifier> =
    ConverterUtils.convertFromYarn(
      client.getRMDelegationToken(Text(renewer)),
      ClientRMProxy.getRMDelegationTokenService(configuration),
    )

  override fun close() {
    if (connection.isInitialized()) client.stop()
  }

  private companion object {
    const val ROOT = "root"
    const val SCHEDULER = "yarn.resourcemanager.scheduler.class"
    const val ADDRESS = "yarn.resourcemanager.address"
    const val HOST_NAME = "yarn.resourcemanager.hostname"
    const val DEFAULT_HOST = "0.0.0.0"
    const val DEFAULT_PORT = 8032
    const val HIGH_AVAILABILITY = "yarn.resourcemanager.ha.enabled"
    const val IDS = "yarn.resourcemanager.ha.rm-ids"
  }
}

package knit.am

import knit.am.grpc.submissionOf
import knit.am.log.LiveLogSource
import knit.am.log.NodeLogClient
import knit.am.log.NodeTls
import knit.am.security.Secrets
import knit.am.security.forContainers
import knit.am.security.secret
import knit.am.security.serialized
import knit.am.security.tls
import knit.am.yarn.HdfsStaging
import knit.am.yarn.LaunchContexts
import knit.am.yarn.Leases
import knit.am.yarn.LeftBehindException
import knit.am.yarn.RealNodeManager
import knit.am.yarn.RealResourceManager
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.runBlocking
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.security.ssl.SSLFactory
import org.apache.hadoop.yarn.conf.YarnConfiguration
import org.slf4j.LoggerFactory
import java.time.Clock
import java.util.concurrent.TimeUnit
import kotlin.system.exitProcess

/** How many calls to NodeManagers, and how many to their web servers, wait at a time. */
private const val PARALLEL_CALLS = 64

private const val EXIT_BROKEN = 70
private const val EXIT_LEFT_BEHIND = 75

/**
 * Started by YARN, once for each attempt. Exits with 0 whenever the RM knows how the application ended; with anything
 * else YARN counts the attempt as failed.
 */
fun main() {
  // Before anything logs: ours is a name that no Hadoop configuration has.
  if (System.getProperty("log4j.configuration") == null) System.setProperty("log4j.configuration", "knit-log4j.properties")
  val log = LoggerFactory.getLogger("knit.am.Main")
  // YARN sends SIGTERM to end an application and to move it alike, and SIGKILL 250 ms later. So nothing is told to the
  // RM and nothing is removed: a second attempt may follow.
  Runtime.getRuntime().addShutdownHook(Thread { log.info("The process ends") })
  val status =
    try {
      runBlocking(Dispatchers.Default) { start() }
      0
    } catch (gone: LeftBehindException) {
      log.error(gone.message)
      EXIT_LEFT_BEHIND
    } catch (
      @Suppress("TooGenericExceptionCaught") broken: Throwable,
    ) {
      log.error("The Application Master cannot go on", broken)
      EXIT_BROKEN
    }
  exitProcess(status)
}

private suspend fun start() =
  coroutineScope {
    val configuration = async(Dispatchers.IO) { YarnConfiguration() }
    val credentials = UserGroupInformation.getCurrentUser().credentials
    val config = AmConfig.of(System.getenv(), submissionOf(credentials.secret(Secrets.APPLICATION)), credentials.tls())
    val staging = HdfsStaging(configuration.await(), config.applicationId, config.submission.stagingUrl, Dispatchers.IO)
    applicationMaster(config, configuration.await(), credentials, staging).run()
    staging.remove()
  }

private fun applicationMaster(
  config: AmConfig,
  configuration: Configuration,
  credentials: Credentials,
  staging: Staging,
): ApplicationMaster {
  val leases = Leases()
  val tokens = credentials.forContainers().serialized()
  return ApplicationMaster(
    config = config,
    resourceManager = RealResourceManager(RealResourceManager.configure(configuration), leases, Dispatchers.IO),
    nodeManager =
      RealNodeManager(
        RealNodeManager.configure(configuration),
        leases,
        LaunchContexts(tokens),
        Dispatchers.IO.limitedParallelism(PARALLEL_CALLS),
      ),
    logSource =
      LiveLogSource(
        NodeLogClient(lazy { nodeTls(configuration) }, config.submission.userName),
        Dispatchers.IO.limitedParallelism(PARALLEL_CALLS),
      ),
    staging = staging,
    clock = Clock.systemUTC(),
    nowMillis = { TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) },
  )
}

/** How the nodes' web servers prove who they are, where the cluster's policy is HTTPS. */
private fun nodeTls(configuration: Configuration): NodeTls? {
  if (configuration.get("yarn.http.policy") != "HTTPS_ONLY") return null
  val factory = SSLFactory(SSLFactory.Mode.CLIENT, configuration).apply { init() }
  return NodeTls(factory.createSSLSocketFactory(), factory.hostnameVerifier)
}

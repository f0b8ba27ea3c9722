package knit.am

import io.grpc.Server
import knit.am.driver.DriverTokens
import knit.am.driver.driversIn
import knit.am.grpc.SubmissionDocument
import knit.am.log.ContainerIndex
import knit.am.log.LiveLogSource
import knit.am.log.NodeAccess
import knit.am.log.NodeLogClient
import knit.am.log.NodeTls
import knit.am.log.OwnLogs
import knit.am.security.HeldTokens
import knit.am.security.KeytabLogin
import knit.am.security.KeytabNegotiator
import knit.am.security.Secrets
import knit.am.security.TokenKeeper
import knit.am.security.containerKeys
import knit.am.security.ownCredentials
import knit.am.security.secret
import knit.am.security.tls
import knit.am.yarn.HadoopRmConnection
import knit.am.yarn.HdfsStaging
import knit.am.yarn.KeytabTokens
import knit.am.yarn.LaunchContexts
import knit.am.yarn.Leases
import knit.am.yarn.LeftBehindException
import knit.am.yarn.NodeCalls
import knit.am.yarn.RealNodeManager
import knit.am.yarn.RmSession
import knit.am.yarn.toYarn
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.security.ssl.SSLFactory
import org.apache.hadoop.yarn.conf.YarnConfiguration
import org.slf4j.LoggerFactory
import java.nio.file.Path
import java.nio.file.Paths
import java.time.Clock
import java.util.concurrent.TimeUnit
import java.util.logging.Level
import java.util.logging.Logger
import kotlin.system.exitProcess

private const val EXIT_BROKEN = 70
private const val EXIT_LEFT_BEHIND = 75
private const val EXIT_TO_BE_RETRIED = 76

/** Held here, for a level is forgotten with its logger. gRPC tells of every stranger who fails to connect, with a stack trace. */
private val grpcLog = Logger.getLogger(Server::class.java.name.substringBeforeLast('.')).apply { level = Level.WARNING }

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
      @Suppress("SwallowedException") failed: AttemptFailedException,
    ) {
      // Said where it was decided.
      EXIT_TO_BE_RETRIED
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
    // Hadoop's configuration and identity take as long to load as the server does: each gets a core.
    val configuration = lazy { YarnConfiguration().also(UserGroupInformation::setConfiguration) }
    launch(Dispatchers.IO) { configuration.value }
    val credentials = ownCredentials(System.getenv())
    val config =
      AmConfig.of(
        System.getenv(),
        SubmissionDocument.of(credentials.secret(Secrets.APPLICATION)),
        credentials.tls(),
        credentials.containerKeys(),
      )
    setLogLevel(config.submission.logLevel)
    val staging = HdfsStaging(configuration, config.applicationId, config.submission.stagingUrl, Dispatchers.IO)
    applicationMaster(config, configuration, credentials, staging).run()
    staging.remove()
  }

private fun applicationMaster(
  config: AmConfig,
  configuration: Lazy<Configuration>,
  credentials: Credentials,
  staging: Staging,
): ApplicationMaster {
  val leases = Leases()
  val here = Paths.get("").toAbsolutePath()
  val nowMillis = { TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) }
  val login = keytabLogin(config.submission, credentials, here, configuration, nowMillis)
  val held = HeldTokens(credentials, isReplacing = login != null)
  val driverTokens = DriverTokens(here) { held.forPrograms(config.submission.driver?.resourceManagerToken == true) }
  val access = NodeAccess(config.submission.userName, System.getenv("USER"), login?.let { KeytabNegotiator(it) }, nowMillis)
  return ApplicationMaster(
    config = config,
    resourceManager = RmSession(lazy { HadoopRmConnection(configuration.value) }, leases, Dispatchers.IO, nowMillis),
    nodeManager =
      RealNodeManager(
        configuration,
        leases,
        LaunchContexts(held, config.submission.accessControl.toYarn()),
        Dispatchers.IO.limitedParallelism(NodeCalls.TOTAL),
      ),
    logSource =
      LiveLogSource(
        OwnLogs(
          config.lease.containerId,
          config.logDirectories,
          NodeLogClient(lazy { nodeTls(configuration.value) }, access),
        ),
        Dispatchers.IO.limitedParallelism(LiveLogSource.PARALLEL_CALLS),
      ),
    index = ContainerIndex(config.logDirectory, Dispatchers.IO.limitedParallelism(1)),
    events = EventLogs(config.logDirectory, Dispatchers.IO.limitedParallelism(1)),
    staging = staging,
    clock = Clock.systemUTC(),
    nowMillis = nowMillis,
    drivers =
      driversIn(
        here,
        config.logDirectory ?: here,
        driverTokens,
        Dispatchers.IO,
      ),
    held = held,
    tokenKeeper =
      login?.let {
        val named = config.submission.fileSystems
        val urls = listOfNotNull(config.submission.stagingUrl) + named.map { fs -> fs.url }
        val withoutRenewer = named.filter { fs -> fs.isWithoutRenewer }.mapTo(mutableSetOf()) { fs -> fs.url }
        TokenKeeper(
          KeytabTokens(it, configuration, urls, withoutRenewer) { held.hasRmToken },
          held,
          Clock.systemUTC(),
          Dispatchers.IO.limitedParallelism(1),
          adopt = { fresh -> UserGroupInformation.getCurrentUser().addCredentials(fresh) },
          tokensChanged = driverTokens::replace,
        )
      },
  )
}

/** Null where there is no keytab, or nobody whose it is. */
private fun keytabLogin(
  submission: Submission,
  credentials: Credentials,
  directory: Path,
  configuration: Lazy<Configuration>,
  nowMillis: () -> Long,
): KeytabLogin? {
  val keytab = credentials.getSecretKey(Text(Secrets.KEYTAB)) ?: return null
  return submission.principal?.let { KeytabLogin(it, keytab, directory, configuration, nowMillis) }
}

/** How the nodes' web servers prove who they are, where the cluster's policy is HTTPS. */
private fun nodeTls(configuration: Configuration): NodeTls? {
  if (configuration.get("yarn.http.policy") != "HTTPS_ONLY") return null
  val factory = SSLFactory(SSLFactory.Mode.CLIENT, configuration).apply { init() }
  return NodeTls(factory.createSSLSocketFactory(), factory.hostnameVerifier)
}

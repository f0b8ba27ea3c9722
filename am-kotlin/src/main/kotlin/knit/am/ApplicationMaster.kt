package knit.am

import knit.am.core.Application
import knit.am.core.EndApplication
import knit.am.core.FinalStatus
import knit.am.core.MAX_KEY_VALUE_BYTES
import knit.am.core.Outcome
import knit.am.core.Registered
import knit.am.core.Retention
import knit.am.core.Unregistered
import knit.am.core.problemIn
import knit.am.driver.DriverFactory
import knit.am.grpc.AmServer
import knit.am.grpc.ApplicationGrpcService
import knit.am.grpc.CallerInterceptor
import knit.am.grpc.ClientActivity
import knit.am.grpc.ContainerGrpcService
import knit.am.grpc.EventGrpcService
import knit.am.grpc.KeyValueGrpcService
import knit.am.grpc.LogGrpcService
import knit.am.grpc.NoFreePortException
import knit.am.log.ContainerIndex
import knit.am.log.LogSource
import knit.am.log.LogStreams
import knit.am.log.MasterLog
import knit.am.security.ClientRoles
import knit.am.security.ContainerCredentials
import knit.am.security.ContainerTokens
import knit.am.security.DriverHolder
import knit.am.security.HeldTokens
import knit.am.security.TokenKeeper
import knit.am.security.roleOf
import knit.am.yarn.Allocator
import knit.am.yarn.ApplicationVariables
import knit.am.yarn.LaunchSpec
import knit.am.yarn.NodeCalls
import knit.am.yarn.NodeManager
import knit.am.yarn.Registration
import knit.am.yarn.ResourceManager
import knit.am.yarn.script
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineName
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import org.apache.hadoop.security.Credentials
import org.slf4j.LoggerFactory
import java.time.Clock
import kotlin.time.toKotlinDuration

/**
 * The root of everything: serves, registers, supervises, unregisters, lingers.
 *
 * All coroutines live in the scope of [run], and what breaks one of them ends it: YARN then starts the next attempt, if
 * there is one.
 *
 * @param nowMillis a clock that never goes back
 * @param held the user's tokens, of which clients are told
 * @param tokenKeeper null where there is nothing to fetch new ones with
 */
internal class ApplicationMaster(
  private val config: AmConfig,
  private val resourceManager: ResourceManager,
  private val nodeManager: NodeManager,
  private val logSource: LogSource,
  private val index: ContainerIndex,
  private val events: EventLogs,
  private val staging: Staging,
  private val clock: Clock,
  private val nowMillis: () -> Long,
  private val drivers: DriverFactory,
  private val held: HeldTokens = HeldTokens(Credentials()),
  private val tokenKeeper: TokenKeeper? = null,
) {
  private val log = LoggerFactory.getLogger(ApplicationMaster::class.java)
  private val released = CompletableDeferred<Unit>()
  private val activity = ClientActivity(nowMillis)

  private val tokens = ContainerTokens(config.containerKeys.tokenKey, config.historyId)

  private val credentials = ContainerCredentials(config.applicationId, config.tls, config.containerKeys, tokens)

  private val departure = Departure(resourceManager, activity, nowMillis)

  /**
   * Returns how the application ended, after the last client has left.
   *
   * @throws knit.am.yarn.LeftBehindException where the RM knows this attempt no more.
   * @throws AttemptFailedException where the next attempt is to make its failure good.
   */
  suspend fun run(): Outcome =
    coroutineScope {
      // What takes its time at the start is done side by side: YARN's client, the report of the nodes, the server.
      val prepared = launch(CoroutineName("prepare")) { resourceManager.prepare() }
      val report =
        async(CoroutineName("node-report")) {
          prepared.join()
          runCatching { resourceManager.nodes() }
        }
      val variables = CompletableDeferred<ApplicationVariables>()
      val driver = config.submission.driver?.let { spec -> drivers.create(this) { spec.script(variables.await()) } }
      val calls = NodeCalls(nowMillis)
      val effects = ClusterEffects(this, variables, credentials::of, resourceManager, nodeManager, calls, index, driver)
      val loop = ApplicationLoop(start(), clock, effects, index::ended, events::note) { log.error("The application's state is broken", it) }
      val allocator = Allocator(resourceManager, loop.snapshots, loop::post, clock, nowMillis)
      effects.post = loop::post
      effects.wakeAllocator = allocator::wake
      launch { loop.run() }
      tokenKeeper?.let { launch(CoroutineName("tokens")) { it.run(loop::post) } }
      val server = serve(loop, allocator)
      // Without a server nothing is launched.
      server?.let { variables.complete(variables("${config.host}:${it.port}")) }
      try {
        val registration = register(server)
        loop.post(Registered(registration.maxResource))
        index.begun(config.attemptNumber, clock.instant())
        events.begin { loop.snapshots.value }
        allocator.run(registration, report)
        val outcome = effects.outcome.await()
        leaveToNextAttempt(outcome)
        departure.unregister(outcome)
        loop.post(Unregistered)
        index.ended(outcome)
        if (server != null) departure.linger(config.submission.linger.toKotlinDuration(), released)
        outcome
      } finally {
        server?.stop()
        coroutineContext.cancelChildren()
        withContext(NonCancellable) {
          index.close()
          events.close()
        }
      }
    }

  private fun variables(masterAddress: String) =
    ApplicationVariables(config.applicationId, config.historyId, masterAddress, config.submission.userName)

  private fun start(): Application =
    Application.start(
      id = config.applicationId,
      attemptNumber = config.attemptNumber,
      historyId = config.historyId,
      services = config.submission.services,
      now = clock.instant(),
      problem = config.submission.let { it.problem ?: problemIn(it.services, it.driver != null) ?: it.driver?.problem() },
      nodeLabel = config.submission.nodeLabel,
      hasDriver = config.submission.driver != null,
      masterContainerId = config.lease.containerId,
      retention = Retention(keyValueBytes = minOf(MAX_KEY_VALUE_BYTES, Runtime.getRuntime().maxMemory() / HEAP_PARTS)),
      annotations = config.submission.annotations,
    )

  private fun DriverSpec.script(variables: ApplicationVariables): String =
    LaunchSpec(
      command,
      variables.ofDriver(environment),
      emptyMap(),
      pythonEnvironment,
      credentials.of(DriverHolder(config.attemptNumber), variables.masterAddress),
    ).script()

  /** Where a failure is to be made good by another attempt, YARN is told nothing: it starts the next one once this one is gone. */
  private fun leaveToNextAttempt(outcome: Outcome) {
    val isFailure = outcome.finalStatus == FinalStatus.FAILED && !outcome.isFinal
    if (!isFailure || config.submission.attemptPolicy != AttemptPolicy.FAILURES || config.attemptNumber >= config.maxAttempts) return
    log.warn("Application attempt {} out of {} failed, will retry: {}", config.attemptNumber, config.maxAttempts, outcome.diagnostics)
    throw AttemptFailedException(outcome)
  }

  /** Null where no port is left to listen on: the application ends with the reason, once there is an RM to tell. */
  private fun serve(
    loop: ApplicationLoop,
    allocator: Allocator,
  ): AmServer? {
    val services =
      listOf(
        ApplicationGrpcService(config.document, loop, allocator::waitingReasons, held::described) { released.complete(Unit) },
        ContainerGrpcService(loop),
        KeyValueGrpcService(loop),
        EventGrpcService(loop.snapshots, loop.changes),
        LogGrpcService(LogStreams(loop.snapshots, loop.changes, logSource, master = MasterLog(config.lease))),
      )
    return try {
      AmServer(
        credentials = config.tls.serverCredentials(config.submission.clientGrants.mapTo(mutableSetOf()) { it.fingerprint }),
        services = services,
        activity = activity,
        callers = CallerInterceptor(tokens) { holder -> loop.snapshots.value.roleOf(holder, config.submission.driver?.access) },
        roles = ClientRoles(config.submission.clientGrants),
        ports = config.submission.masterPorts ?: AmServer.ANY_PORT,
      ).start()
    } catch (none: NoFreePortException) {
      log.error(none.message)
      loop.post(EndApplication(FinalStatus.FAILED, none.message.orEmpty()))
      null
    }
  }

  private suspend fun CoroutineScope.register(server: AmServer?): Registration {
    if (server == null) return resourceManager.register(config.host, NO_PORT)
    val port = server.port
    val registration = resourceManager.register(config.host, port)
    log.info("Registered: {} attempt {} serves on {}:{}", config.applicationId, config.attemptNumber, config.host, port)
    launch(CoroutineName("publish-address")) { staging.publish("${config.host}:$port") }
    return registration
  }

  private companion object {
    /** The store is one of so many parts of the heap at most. */
    const val HEAP_PARTS = 10

    /** As YARN has it. */
    const val NO_PORT = -1
  }
}

/** The application has failed, and YARN is to begin it anew: nothing is unregistered, nothing removed. */
internal class AttemptFailedException(
  val outcome: Outcome,
) : Exception(outcome.diagnostics)

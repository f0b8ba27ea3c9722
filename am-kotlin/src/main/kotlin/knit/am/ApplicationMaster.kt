package knit.am

import knit.am.core.Application
import knit.am.core.Outcome
import knit.am.core.Registered
import knit.am.grpc.AmServer
import knit.am.grpc.ApplicationGrpcService
import knit.am.grpc.ClientActivity
import knit.am.grpc.ContainerGrpcService
import knit.am.grpc.LogGrpcService
import knit.am.log.ContainerJournal
import knit.am.log.LogSource
import knit.am.log.LogStreams
import knit.am.yarn.Allocator
import knit.am.yarn.LeftBehindException
import knit.am.yarn.NodeManager
import knit.am.yarn.Registration
import knit.am.yarn.ResourceManager
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineName
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.delay
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull
import org.slf4j.LoggerFactory
import java.time.Clock
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.toKotlinDuration

/**
 * The root of everything: serves, registers, supervises, unregisters, lingers.
 *
 * All coroutines live in the scope of [run], and what breaks one of them ends it: YARN then starts the next attempt, if
 * there is one.
 *
 * @param nowMillis a clock that never goes back
 */
internal class ApplicationMaster(
  private val config: AmConfig,
  private val resourceManager: ResourceManager,
  private val nodeManager: NodeManager,
  private val logSource: LogSource,
  private val journal: ContainerJournal,
  private val staging: Staging,
  private val clock: Clock,
  private val nowMillis: () -> Long,
) {
  private val log = LoggerFactory.getLogger(ApplicationMaster::class.java)
  private val released = CompletableDeferred<Unit>()
  private val activity = ClientActivity(nowMillis)

  /**
   * Returns how the application ended, after the last client has left.
   *
   * @throws LeftBehindException where the RM knows this attempt no more.
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
      val effects = ClusterEffects(this, config.submission, config.applicationId, resourceManager, nodeManager, journal)
      val application = Application.start(config.applicationId, config.attemptNumber, config.submission.services, clock.instant())
      val loop = ApplicationLoop(application, clock, effects) { log.error("The application's state is broken", it) }
      val allocator = Allocator(resourceManager, loop.snapshots, loop::post, nowMillis)
      effects.post = loop::post
      effects.wakeAllocator = allocator::wake
      launch { loop.run() }
      val server = serve(loop)
      try {
        val registration = register(server.port)
        loop.post(Registered(registration.maxResource))
        allocator.run(registration, report)
        val outcome = effects.outcome.await()
        unregister(outcome)
        linger()
        outcome
      } finally {
        server.stop()
        coroutineContext.cancelChildren()
      }
    }

  private fun serve(loop: ApplicationLoop): AmServer {
    val services =
      listOf(
        ApplicationGrpcService(config.submission, loop) { released.complete(Unit) },
        ContainerGrpcService(loop),
        LogGrpcService(LogStreams(loop.snapshots, logSource)),
      )
    return AmServer(config.tls.serverCredentials(), services, activity).start()
  }

  private suspend fun CoroutineScope.register(port: Int): Registration {
    val registration = resourceManager.register(config.host, port)
    log.info("Registered: {} attempt {} serves on {}:{}", config.applicationId, config.attemptNumber, config.host, port)
    launch(CoroutineName("publish-address")) { staging.publish("${config.host}:$port") }
    return registration
  }

  /** Tries until it is done: an application whose end YARN never hears of would be started again. */
  private suspend fun unregister(outcome: Outcome) {
    var wait = 500.milliseconds
    val given = nowMillis()
    while (true) {
      try {
        resourceManager.unregister(outcome)
        log.info("Unregistered: {}, {}", outcome.finalStatus, outcome.diagnostics)
        return
      } catch (
        @Suppress("TooGenericExceptionCaught") failure: Exception,
      ) {
        currentCoroutineContext().ensureActive()
        if (failure is LeftBehindException || nowMillis() - given > UNREGISTER_LIMIT.inWholeMilliseconds) throw failure
        log.warn("YARN could not be told of the end; trying on: {}", failure.toString())
        delay(wait)
        wait = (wait * 2).coerceAtMost(MAX_UNREGISTER_WAIT)
      }
    }
  }

  /** Stays for clients that want to know how it ended, until one of them says that it needs nothing more. */
  private suspend fun linger() {
    val endMillis = nowMillis()
    val limit = config.submission.linger.toKotlinDuration()
    withTimeoutOrNull(MAX_LINGER) {
      while (!released.isCompleted) {
        val quiet = minOf(activity.quietMillis(), nowMillis() - endMillis).milliseconds
        if (quiet >= limit) break
        withTimeoutOrNull((limit - quiet).coerceIn(MIN_LOOK, MAX_LOOK)) { released.await() }
      }
    }
    log.info("Leaving: {}", if (released.isCompleted) "released by a client" else "no client has been heard for $limit")
  }

  private companion object {
    val UNREGISTER_LIMIT: Duration = 15.minutes
    val MAX_UNREGISTER_WAIT: Duration = 10_000.milliseconds
    val MAX_LINGER: Duration = 5.minutes
    val MIN_LOOK: Duration = 10.milliseconds
    val MAX_LOOK: Duration = 500.milliseconds
  }
}

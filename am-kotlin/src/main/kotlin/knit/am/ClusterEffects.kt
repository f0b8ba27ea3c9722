package knit.am

import knit.am.core.ContainerRef
import knit.am.core.DriverEnded
import knit.am.core.Effect
import knit.am.core.Launch
import knit.am.core.LaunchFailed
import knit.am.core.LaunchFault
import knit.am.core.Lease
import knit.am.core.Outcome
import knit.am.core.Release
import knit.am.core.Report
import knit.am.core.StartDriver
import knit.am.core.Started
import knit.am.core.StopContainer
import knit.am.core.StopDriver
import knit.am.core.Unregister
import knit.am.driver.Driver
import knit.am.log.ContainerIndex
import knit.am.security.ContainerHolder
import knit.am.security.TokenHolder
import knit.am.yarn.ApplicationVariables
import knit.am.yarn.LaunchSpec
import knit.am.yarn.NodeCalls
import knit.am.yarn.NodeManager
import knit.am.yarn.NodeNotAskedException
import knit.am.yarn.ResourceManager
import knit.am.yarn.UnlaunchableException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Job
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.launch
import org.slf4j.LoggerFactory
import java.util.concurrent.ConcurrentHashMap

/**
 * Carries out on the cluster what the core wants done; what comes of it is posted.
 *
 * What is to be done for different containers runs side by side, for one container one after the other.
 *
 * @param variables known once the Application Master serves
 * @param credentials the files by which a container reaches the Application Master, which serves at this address
 */
internal class ClusterEffects(
  private val scope: CoroutineScope,
  private val variables: Deferred<ApplicationVariables>,
  private val credentials: (TokenHolder, String) -> Map<String, String>,
  private val resourceManager: ResourceManager,
  private val nodeManager: NodeManager,
  private val nodeCalls: NodeCalls,
  private val index: ContainerIndex,
  private val driver: Driver? = null,
) : EffectHandler {
  private val log = LoggerFactory.getLogger(ClusterEffects::class.java)
  private val underWay = ConcurrentHashMap<String, Job>()

  /** Containers that are to stop, until that was tried. */
  private val toStop: MutableSet<String> = ConcurrentHashMap.newKeySet()

  /** Containers that were to stop before their launch had its turn, and so were not launched. */
  private val unlaunched: MutableSet<String> = ConcurrentHashMap.newKeySet()

  /** How the application ended, once it has. */
  val outcome = CompletableDeferred<Outcome>()

  /** Where what comes of it goes; set before the first effect. */
  lateinit var post: (Report) -> Unit

  /** Has the RM told of a release at once; set before the first effect. */
  lateinit var wakeAllocator: () -> Unit

  override fun handle(effect: Effect) {
    when (effect) {
      is Launch -> {
        inTurn(effect.lease.containerId) { launch(effect) }
      }

      is StopContainer -> {
        toStop += effect.lease.containerId
        inTurn(effect.lease.containerId) { stop(effect.lease) }
      }

      is Release -> {
        inTurn(effect.containerId) { release(effect.containerId) }
      }

      is StartDriver -> {
        checkNotNull(driver) { "There is no driver to start" }.start { post(DriverEnded(it.exitCode, it.diagnostics)) }
      }

      is StopDriver -> {
        driver?.stop()
      }

      is Unregister -> {
        outcome.complete(effect.outcome)
      }
    }
  }

  /** Only called on the application's loop, so that the order of calls is the order of effects. */
  private fun inTurn(
    containerId: String,
    work: suspend () -> Unit,
  ) {
    val previous = underWay[containerId]
    val job =
      scope.launch {
        previous?.join()
        work()
      }
    underWay[containerId] = job
    job.invokeOnCompletion { underWay.remove(containerId, job) }
  }

  private suspend fun launch(effect: Launch) {
    val containerId = effect.lease.containerId
    try {
      val isLaunched =
        nodeCalls.on(effect.lease.nodeId, effect.sizeBytes) {
          val isWanted = containerId !in toStop
          if (isWanted) {
            index.launched(effect)
            nodeManager.launch(effect.lease, effect.toSpec())
          }
          isWanted
        }
      if (isLaunched) post(Started(containerId)) else unlaunched += containerId
    } catch (
      @Suppress("TooGenericExceptionCaught") failure: Exception,
    ) {
      currentCoroutineContext().ensureActive()
      log.warn("{} could not be launched on {}: {}", containerId, effect.lease.nodeId, failure.toString())
      post(LaunchFailed(containerId, failure.message ?: failure.toString(), faultOf(failure)))
    }
  }

  /** About what there is to launch: characters, of which most are one byte. */
  private val Launch.sizeBytes: Long
    get() {
      val variables = (spec.environment + environment).entries.sumOf { (name, value) -> name.length + value.length }
      return spec.command.length.toLong() + variables
    }

  private fun faultOf(failure: Exception): LaunchFault =
    when (failure) {
      is NodeNotAskedException -> LaunchFault.NOBODY
      is UnlaunchableException -> LaunchFault.SPECIFICATION
      else -> LaunchFault.NODE
    }

  private suspend fun stop(lease: Lease) {
    try {
      if (unlaunched.remove(lease.containerId)) release(lease.containerId) else nodeCalls.on(lease.nodeId) { nodeManager.stop(lease) }
    } catch (
      @Suppress("TooGenericExceptionCaught") failure: Exception,
    ) {
      currentCoroutineContext().ensureActive()
      log.info("{} could not be stopped through {}, and is given back instead: {}", lease.containerId, lease.nodeId, failure.toString())
      release(lease.containerId)
    } finally {
      toStop -= lease.containerId
    }
  }

  private fun release(containerId: String) {
    resourceManager.release(containerId)
    wakeAllocator()
  }

  private suspend fun Launch.toSpec(): LaunchSpec {
    val variables = variables.await()
    return LaunchSpec(
      command = spec.command,
      environment = variables.ofContainer(key, ordinal, lease, spec.environment + environment),
      described = spec.localResources,
      pythonEnvironment = spec.pythonEnvironment,
      credentials = credentials(ContainerHolder(ContainerRef(key.place.serviceName, ordinal), key.attemptNumber), variables.masterAddress),
      withRmToken = spec.resourceManagerToken,
    )
  }
}

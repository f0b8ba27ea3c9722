package knit.am.yarn

import knit.am.core.Outcome
import knit.am.core.Resource
import knit.am.core.Shape
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.runInterruptible
import org.apache.hadoop.security.AccessControlException
import org.apache.hadoop.security.token.SecretManager
import org.apache.hadoop.yarn.api.ApplicationMasterProtocol
import org.apache.hadoop.yarn.api.protocolrecords.AllocateRequest
import org.apache.hadoop.yarn.api.protocolrecords.AllocateResponse
import org.apache.hadoop.yarn.api.protocolrecords.FinishApplicationMasterRequest
import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterRequest
import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterResponse
import org.apache.hadoop.yarn.api.records.ContainerId
import org.apache.hadoop.yarn.api.records.NodeReport
import org.apache.hadoop.yarn.api.records.NodeState
import org.apache.hadoop.yarn.api.records.Priority
import org.apache.hadoop.yarn.api.records.QueueInfo
import org.apache.hadoop.yarn.api.records.ResourceBlacklistRequest
import org.apache.hadoop.yarn.api.records.ResourceRequest
import org.apache.hadoop.yarn.exceptions.ApplicationAttemptNotFoundException
import org.apache.hadoop.yarn.exceptions.ApplicationMasterNotRegisteredException
import org.apache.hadoop.yarn.exceptions.InvalidApplicationMasterRequestException
import org.apache.hadoop.yarn.exceptions.InvalidContainerReleaseException
import org.apache.hadoop.yarn.exceptions.InvalidResourceRequestException
import org.slf4j.LoggerFactory
import java.io.IOException
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.ConcurrentLinkedQueue
import org.apache.hadoop.yarn.api.records.Container as YarnContainer

/** What an RM session needs of Hadoop beside the protocol. */
internal interface RmConnection {
  /** The RM, or whichever of a pair is active; waits for one to answer as long as the cluster's configuration says. */
  val protocol: ApplicationMasterProtocol

  /** Whether the scheduler knows nodes by `host:port` instead of their hosts. */
  val namesHavePorts: Boolean

  /** Whether there is anything to prove to the RM that the user asks: with Kerberos that takes one of its delegation tokens. */
  val isClient: Boolean

  /** The nodes that run. */
  fun nodeReports(): List<NodeReport>

  /** What is said of a queue; null where there is none of that name. */
  fun queueInfo(name: String): QueueInfo?

  /** The RM gave this attempt another token for itself. */
  fun useToken(token: org.apache.hadoop.yarn.api.records.Token)

  /** The RM gave this attempt another token for [nodeId]. */
  fun useNodeToken(
    nodeId: String,
    token: org.apache.hadoop.yarn.api.records.Token,
  )
}

/**
 * A conversation with the RM, in YARN's own protocol: numbered heartbeats with absolute counts.
 *
 * - A heartbeat whose answer was lost is repeated as it was: the RM answers a number it has seen with what it answered
 *   before, whatever else is in it.
 * - An RM that was started anew, or another one, knows nothing of what was asked: this attempt registers again, and tells
 *   it everything.
 * - A heartbeat that the RM refuses for what is asked in it goes out again without asks, for ends and releases must flow.
 *
 * YARN's own client does not take a refused request back, keeps one for each container and node, and looks up each node's
 * rack by DNS.
 */
internal class RmSession(
  private val connection: Lazy<RmConnection>,
  private val leases: Leases,
  private val dispatcher: CoroutineDispatcher,
  nowMillis: () -> Long,
) : ResourceManager {
  private class Heartbeat(
    val asks: List<Ask>,
    val releases: List<ContainerId>,
    val excludedNames: Set<String>,
    val newlyExcluded: List<String>,
    val noLongerExcluded: List<String>,
    val progress: Float,
    val isAll: Boolean,
  ) {
    fun withoutAsks() = Heartbeat(emptyList(), releases, excludedNames, newlyExcluded, noLongerExcluded, progress, isAll = false)

    fun withoutReleases() = Heartbeat(asks, emptyList(), excludedNames, newlyExcluded, noLongerExcluded, progress, isAll)
  }

  private val log = LoggerFactory.getLogger(RmSession::class.java)
  private val asks = AskTable(nowMillis)
  private val racks = ConcurrentHashMap<String, String>()
  private val toRelease = ConcurrentLinkedQueue<ContainerId>()

  /** Given back, and not reported as ended yet: an RM that is started anew has to be told again. */
  private val released = LinkedHashSet<ContainerId>()
  private val unsentReleases = LinkedHashSet<ContainerId>()
  private var excludedNames = emptySet<String>()
  private var responseId = 0
  private var unanswered: Heartbeat? = null
  private var tokenFailures = 0
  private var address = "" to 0

  override suspend fun prepare() {
    runInterruptible(dispatcher) { connection.value }
  }

  override suspend fun register(
    host: String,
    port: Int,
  ): Registration {
    address = host to port
    return runInterruptible(dispatcher) { registerAnew() ?: unknownRegistration() }
  }

  override suspend fun allocate(demand: Demand): Allocation = runInterruptible(dispatcher) { knowingTokens { exchange(demand) } }

  override fun release(containerId: String) {
    toRelease += ContainerId.fromString(containerId)
  }

  override suspend fun nodes(): List<NodeRoom>? =
    runInterruptible(dispatcher) { ifTold("nodes") { connection.value.nodeReports().map { it.toRoom() } } }

  override suspend fun queue(name: String): QueueReport? =
    runInterruptible(dispatcher) { ifTold("queue") { connection.value.queueInfo(name)?.toDomain() } }

  /**
   * Null where the RM does not tell. Where there is nothing to prove who asks it is not asked: Hadoop's client would try
   * each RM again and again, with a stack trace each time.
   */
  private fun <T : Any> ifTold(
    what: String,
    ask: () -> T?,
  ): T? {
    if (!connection.value.isClient) {
      log.info("Without a delegation token of the ResourceManager's it is not asked for this application's {}", what)
      return null
    }
    return try {
      ask()
    } catch (failure: IOException) {
      val refused = generateSequence<Throwable>(failure) { it.cause }.firstOrNull { it is AccessControlException } ?: throw failure
      log.info("The ResourceManager does not tell this application of its {}: {}", what, refused.message)
      null
    }
  }

  override suspend fun unregister(outcome: Outcome) =
    runInterruptible(dispatcher) {
      val request = FinishApplicationMasterRequest.newInstance(outcome.finalStatus.toYarn(), outcome.diagnostics, "")
      knowingTokens {
        while (!finish(request)) Thread.sleep(FINISH_POLL_MILLIS)
      }
    }

  /** Returns whether the RM has written it down. */
  private fun finish(request: FinishApplicationMasterRequest): Boolean =
    try {
      connection.value.protocol
        .finishApplicationMaster(request)
        .isUnregistered
    } catch (unknown: ApplicationMasterNotRegisteredException) {
      log.info("The ResourceManager was started anew; registering again to tell the end: {}", unknown.firstLine())
      registerAnew()
      false
    } catch (refused: InvalidApplicationMasterRequestException) {
      throw if (refused.isOfForgottenAttempt()) LeftBehindException(refused) else refused
    }

  /** Maps what YARN throws where an attempt is over. */
  private inline fun <T> knowingTokens(call: () -> T): T =
    try {
      call().also { tokenFailures = 0 }
    } catch (gone: ApplicationAttemptNotFoundException) {
      throw LeftBehindException(gone)
    } catch (refused: SecretManager.InvalidToken) {
      // Once or twice while the RM changes its keys; for ever where it has forgotten this attempt.
      throw if (++tokenFailures < MAX_TOKEN_FAILURES) refused else LeftBehindException(refused)
    }

  /** Returns what the RM says; null where it says only that this attempt is registered already, for its answer was lost. */
  private fun registerAnew(): Registration? {
    val (host, port) = address
    val request = RegisterApplicationMasterRequest.newInstance(host, port, "")
    val response =
      try {
        connection.value.protocol.registerApplicationMaster(request)
      } catch (refused: InvalidApplicationMasterRequestException) {
        if (refused.isOfForgottenAttempt()) throw LeftBehindException(refused)
        if (ALREADY_REGISTERED !in refused.message.orEmpty()) throw refused
        null
      }
    responseId = 0
    response?.nmTokensFromPreviousAttempts?.forEach { connection.value.useNodeToken(it.nodeId.toString(), it.token) }
    return response?.toRegistration()
  }

  private fun exchange(demand: Demand): Allocation {
    val refusals = LinkedHashMap<Shape, String>()
    var registration: Registration? = null
    var heartbeat = unanswered ?: compose(demand)
    val isRepeated = unanswered != null
    repeat(MAX_TRIES) {
      unanswered = heartbeat
      try {
        val response = connection.value.protocol.allocate(heartbeat.toRequest())
        unanswered = null
        return answered(heartbeat, response).copy(
          refused = refusals,
          isBehind = isRepeated || !heartbeat.isAll,
          registration = registration,
        )
      } catch (refused: InvalidResourceRequestException) {
        // Nothing of it was done, and its number is free again.
        asks.refused(heartbeat.asks)?.let { refusals[it] = refused.firstLine() }
        heartbeat = heartbeat.withoutAsks()
      } catch (refused: InvalidContainerReleaseException) {
        log.warn("YARN refuses to take back what it has granted; these are left to it: {}", refused.firstLine())
        unsentReleases -= heartbeat.releases.toSet()
        heartbeat = heartbeat.withoutReleases()
      } catch (unknown: ApplicationMasterNotRegisteredException) {
        log.info("The ResourceManager was started anew, or is another one: registering again. {}", unknown.firstLine())
        unanswered = null
        registration = registerAnew() ?: registration
        forgetWhatWasSaid()
        heartbeat = compose(demand)
      } catch (refused: InvalidApplicationMasterRequestException) {
        if (refused.isOfForgottenAttempt()) throw LeftBehindException(refused)
        // Out of step: what was sent meanwhile may have arrived or not.
        unanswered = null
        responseId = expectedResponseId(refused) ?: throw refused
        asks.doubt()
        heartbeat = compose(demand)
      }
    }
    throw IOException("The ResourceManager refuses every heartbeat")
  }

  private fun compose(demand: Demand): Heartbeat {
    generateSequence { toRelease.poll() }.forEach { unsentReleases += it }
    val difference = asks.difference(demand.asks)
    val excluded = demand.excludedNodes.mapTo(HashSet()) { schedulerName(it, connection.value.namesHavePorts) }
    return Heartbeat(
      asks = difference.asks,
      releases = unsentReleases.toList(),
      excludedNames = excluded,
      newlyExcluded = (excluded - excludedNames).toList(),
      noLongerExcluded = (excludedNames - excluded).toList(),
      progress = demand.progress,
      isAll = difference.isAll,
    )
  }

  private fun Heartbeat.toRequest(): AllocateRequest =
    AllocateRequest.newInstance(
      responseId,
      progress,
      asks.map { it.toRequest() },
      releases,
      ResourceBlacklistRequest.newInstance(newlyExcluded, noLongerExcluded),
    )

  private fun Ask.toRequest(): ResourceRequest {
    // What is taken back names the smallest size: YARN checks that, too, and refuses one that is no longer allowed.
    val size = if (count > 0) shape.resource else SMALLEST
    // YARN takes a label with ANYWHERE only, and has the names of the same priority mean nodes that have it.
    val label = shape.placement.label?.takeIf { count > 0 && name == ANYWHERE }
    return ResourceRequest.newInstance(Priority.newInstance(priority), name, size.toYarn(), count, isRelaxed, label)
  }

  private fun answered(
    heartbeat: Heartbeat,
    response: AllocateResponse,
  ): Allocation {
    responseId = response.responseId
    response.amrmToken?.let(connection.value::useToken)
    response.nmTokens.forEach { connection.value.useNodeToken(it.nodeId.toString(), it.token) }
    unsentReleases -= heartbeat.releases.toSet()
    released += heartbeat.releases
    excludedNames = heartbeat.excludedNames

    val (lost, alive) = response.updatedNodes.partition { it.nodeState.isLost }
    val newNodes = alive.filter { it.nodeState == NodeState.RUNNING }.map { it.toRoom() }
    val granted = response.allocatedContainers.mapNotNull { it.toGrant() }
    asks.accepted(heartbeat.asks)
    val completed =
      response.completedContainersStatuses.map { status ->
        released -= status.containerId
        leases.remove(status.containerId.toString())
        status.toDomain()
      }
    return Allocation(
      granted = granted,
      completed = completed,
      lostNodes = lost.map { it.nodeId.toString() },
      newNodes = newNodes,
      headroom = response.availableResources?.toDomain(),
      preempted = response.preempted(),
    )
  }

  /** Returns null for a lease that answers nothing we ask for now, which is given back. */
  private fun YarnContainer.toGrant(): Grant? {
    val lease = toDomain()
    val name = schedulerName(lease.nodeId, connection.value.namesHavePorts)
    val shape = asks.granted(priority.priority, lease.resource, name, racks[name])
    if (shape == null) {
      unsentReleases += id
      return null
    }
    leases.add(this)
    // Of a scheduler that counts memory only every container has 1 vcore.
    val vcores = maxOf(lease.resource.vcores, shape.resource.vcores)
    return Grant(lease.copy(resource = lease.resource.copy(vcores = vcores)), shape, racks[name])
  }

  private fun AllocateResponse.preempted(): Set<String> {
    val message = preemptionMessage ?: return emptySet()
    val strict = message.strictContract?.containers.orEmpty()
    val negotiable = message.contract?.containers.orEmpty()
    return (strict + negotiable).mapTo(LinkedHashSet()) { it.id.toString() }
  }

  private fun forgetWhatWasSaid() {
    asks.forget()
    excludedNames = emptySet()
    unsentReleases += released
    released.clear()
  }

  private fun NodeReport.toRoom(): NodeRoom =
    toDomain(connection.value.namesHavePorts).also { room -> if (room.rack.isNotEmpty()) racks[room.name] = room.rack }

  private fun RegisterApplicationMasterResponse.toRegistration(): Registration {
    // Before anything that has named resources in it is read.
    val hasNewNames = learnNamedResources(this)
    // Of a type generated by whichever protobuf the cluster's YARN was built with.
    val countsVcores = (schedulerResourceTypes as Collection<*>).any { it.toString() == "CPU" }
    val most = maximumResourceCapability.toLimit()
    // What is not counted is not granted either: YARN would give containers without it.
    return Registration(if (countsVcores) most else most.copy(others = emptyMap()), countsVcores, hasNewNames, queue.orEmpty())
  }

  private companion object {
    const val MAX_TOKEN_FAILURES = 5
    const val FINISH_POLL_MILLIS = 100L

    /** Refused, registered again, refused by the next one, and one more. */
    const val MAX_TRIES = 5

    /** YARN has one exception for several things, and tells them apart in words that are the same from 2.10 to 3.5. */
    const val ALREADY_REGISTERED = "already registered"
    val forgotten = Regex("doesn't exist in (the )?(ApplicationMasterService )?cache", RegexOption.IGNORE_CASE)
    val expected = Regex("expect responseId to be (\\d+)")

    val SMALLEST = Resource(1, 1)

    /** Where the answer to the first registration was lost: the nodes' reports, and refusals, tell the rest. */
    fun unknownRegistration(): Registration {
      val named = Resource(0, 0).toYarn().toLimit().others
      return Registration(Resource(Int.MAX_VALUE.toLong(), Int.MAX_VALUE, named.mapValues { Long.MAX_VALUE }), countsVcores = false)
    }

    fun InvalidApplicationMasterRequestException.isOfForgottenAttempt() = forgotten.containsMatchIn(message.orEmpty())

    fun expectedResponseId(refused: InvalidApplicationMasterRequestException): Int? =
      expected.find(refused.message.orEmpty())?.let { it.groupValues[1].toIntOrNull() }

    /** Over the wire comes a whole stack trace. */
    fun Exception.firstLine(): String =
      message
        .orEmpty()
        .lineSequence()
        .first()
        .take(MAX_WORDS)

    const val MAX_WORDS = 500
  }
}

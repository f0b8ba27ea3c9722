package knit.am.sim

import knit.am.core.Resource
import knit.am.yarn.ANYWHERE
import knit.am.yarn.RmConnection
import knit.am.yarn.containerId
import knit.am.yarn.toDomain
import knit.am.yarn.toYarn
import knit.am.yarn.token
import org.apache.hadoop.security.token.SecretManager
import org.apache.hadoop.yarn.api.ApplicationMasterProtocol
import org.apache.hadoop.yarn.api.protocolrecords.AllocateRequest
import org.apache.hadoop.yarn.api.protocolrecords.AllocateResponse
import org.apache.hadoop.yarn.api.protocolrecords.FinishApplicationMasterRequest
import org.apache.hadoop.yarn.api.protocolrecords.FinishApplicationMasterResponse
import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterRequest
import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterResponse
import org.apache.hadoop.yarn.api.records.ContainerId
import org.apache.hadoop.yarn.api.records.ContainerState
import org.apache.hadoop.yarn.api.records.ContainerStatus
import org.apache.hadoop.yarn.api.records.NodeId
import org.apache.hadoop.yarn.api.records.NodeReport
import org.apache.hadoop.yarn.api.records.NodeState
import org.apache.hadoop.yarn.api.records.Priority
import org.apache.hadoop.yarn.api.records.QueueInfo
import org.apache.hadoop.yarn.api.records.Token
import org.apache.hadoop.yarn.exceptions.ApplicationMasterNotRegisteredException
import org.apache.hadoop.yarn.exceptions.InvalidApplicationMasterRequestException
import org.apache.hadoop.yarn.exceptions.InvalidResourceRequestException
import org.apache.hadoop.yarn.proto.YarnServiceProtos.SchedulerResourceTypes
import org.apache.hadoop.yarn.util.Records
import java.io.IOException
import java.util.EnumSet
import java.util.TreeMap
import org.apache.hadoop.yarn.api.records.Container as YarnContainer

/** A machine as the ResourceManager counts it. */
internal class ModelNode(
  val name: String,
  val capacity: Resource,
  val rack: String,
  val partition: String = "",
) {
  val id: NodeId = NodeId.newInstance(name, 8041)
  var usedMib = 0L
  var usedVcores = 0

  /** Whether the ResourceManager counts on it. */
  var isLive = false
}

/** A part of a node that was granted, told or not. */
internal class ModelLease(
  val id: ContainerId,
  val node: ModelNode,
  val resource: Resource,
  val priority: Int,
) {
  /** Whether the answer that names it has arrived. */
  var isTold = false

  /** Whether its node has started something on it. */
  var isLaunched = false

  /** Whether the ResourceManager has its room back. */
  var isOver = false

  /** Whether its node has nothing of it any more. */
  var isGone = false

  /** Whether the answer that names its end has arrived. */
  var isEndTold = false

  /** Whether it was given back. */
  var isReleased = false
}

/**
 * A ResourceManager with what it remembers, as CapacityScheduler and `ApplicationMasterService` have it.
 *
 * It knows nothing of the Application Master but what that has said: absolute numbers by priority and name, which it counts
 * down as it grants on a node's heartbeat; releases; and the number of the answer that has arrived.
 */
internal class ModelYarn(
  private val countsVcores: Boolean,
) : RmConnection,
  ApplicationMasterProtocol {
  override val isClient = true

  private class Row(
    val size: Resource,
    var count: Int,
    val isRelaxed: Boolean,
    val label: String?,
  )

  val nodes = LinkedHashMap<String, ModelNode>()

  /** Every one that was ever granted. */
  val leases = LinkedHashMap<ContainerId, ModelLease>()

  /** By priority, then by name. */
  private val rows = TreeMap<Int, LinkedHashMap<String, Row>>()
  private val excluded = HashSet<String>()
  private var isRegistered = false
  private var responseId = 0
  private var lastResponse: AllocateResponse? = null
  private val granted = mutableListOf<ModelLease>()
  private val finished = mutableListOf<ContainerStatus>()
  private val updated = mutableListOf<NodeReport>()

  /** What ended with its node, of which only the node's end is told, until that is. */
  private val owed = LinkedHashMap<NodeId, List<ModelLease>>()
  private var number = 0

  /** Faults to come. */
  var answersToLose = 0
  var requestsToLose = 0
  var tokensToRefuse = 0
  var isDown = false
  var restartsOnRelease = false
  var configuredMaximum = CONFIGURED_MAXIMUM

  /** The next lease that is granted ends before anybody is told of it. */
  var endsUntold = 0

  var finalStatus: FinishApplicationMasterRequest? = null
    private set
  var heartbeats = 0L
    private set
  var refusals = 0
    private set

  /** Called before a heartbeat is heard, with what was granted in the last answer that arrived, and is not given back now. */
  var onHeartbeat: (List<ContainerId>) -> Unit = {}
  private var lastTold = emptyList<ContainerId>()

  /** Given back, but its node says that it runs, for the ResourceManager was started anew before that knew. */
  private val unreleased = LinkedHashSet<ContainerId>()

  /** How many containers of each size it would still grant anywhere. */
  fun asked(): Map<Resource, Int> {
    val asked = HashMap<Resource, Int>()
    rows.values
      .mapNotNull { it[ANYWHERE] }
      .filter { it.count > 0 && it.isRelaxed && it.label == null }
      .forEach { asked.merge(it.size, it.count, Int::plus) }
    return asked
  }

  val excludedNames: Set<String> get() = excluded

  fun live(): List<ModelLease> = leases.values.filter { !it.isOver }

  /** The most it lets anybody ask for. */
  fun maximum(): Resource {
    val live = nodes.values.filter { it.isLive }.ifEmpty { return configuredMaximum }
    return Resource(
      minOf(configuredMaximum.memoryMib, live.maxOf { it.capacity.memoryMib }),
      minOf(configuredMaximum.vcores, live.maxOf { it.capacity.vcores }),
    )
  }

  /** Whether [node] has, or if [isEmpty] could have, room for a container of [size]. */
  fun hasRoom(
    node: ModelNode,
    size: Resource,
    isEmpty: Boolean = false,
  ): Boolean {
    val needed = rounded(size)
    val freeMib = node.capacity.memoryMib - if (isEmpty) 0 else node.usedMib
    val freeVcores = node.capacity.vcores - if (isEmpty) 0 else node.usedVcores
    return needed.memoryMib <= freeMib && (!countsVcores || needed.vcores <= freeVcores)
  }

  /** Nodes whose partition requests without a label get nothing from. */
  fun isInReach(node: ModelNode) = node.partition.isEmpty()

  fun nodesInReach() = nodes.values.filter { it.isLive && isInReach(it) }

  fun add(node: ModelNode) {
    nodes[node.name] = node
    node.isLive = true
    if (isRegistered) updated += node.report(NodeState.RUNNING)
  }

  /** Gives a node up; [tellsEnds] whether it tells of each of its containers, too. */
  fun lose(
    node: ModelNode,
    tellsEnds: Boolean,
  ) {
    if (!node.isLive) return
    node.isLive = false
    updated += node.report(NodeState.LOST)
    val lost = live().filter { it.node === node }
    if (tellsEnds) {
      lost.forEach { end(it, LOST_NODE, LOST_WORDS) }
    } else {
      lost.forEach(::free)
      owed[node.id] = lost + owed[node.id].orEmpty()
    }
  }

  fun end(
    lease: ModelLease,
    exitStatus: Int,
    diagnostics: String = "",
  ) {
    if (lease.isOver) return
    free(lease)
    finished += status(lease, exitStatus, diagnostics)
  }

  private fun status(
    lease: ModelLease,
    exitStatus: Int,
    diagnostics: String,
  ): ContainerStatus = ContainerStatus.newInstance(lease.id, ContainerState.COMPLETE, diagnostics, exitStatus)

  private fun free(lease: ModelLease) {
    lease.isOver = true
    lease.node.usedMib -= lease.resource.memoryMib
    lease.node.usedVcores -= lease.resource.vcores
  }

  /**
   * Starts anew, or has another one take over. What was asked for is forgotten, and leases that nobody knows of and nobody
   * uses; nodes tell of the others, whose end they have not heard of included, and once more of ends that were not acknowledged.
   */
  fun restart() {
    isRegistered = false
    rows.clear()
    excluded.clear()
    updated.clear()
    owed.values.flatten().mapTo(finished) { status(it, LOST_NODE, LOST_WORDS) }
    owed.clear()
    lastResponse?.completedContainersStatuses?.let { finished.addAll(0, it) }
    lastResponse = null
    granted.clear()
    live().filter { !it.isTold && !it.isLaunched }.forEach(::free)
    leases.values.filter { it.isOver && it.isLaunched && !it.isGone && !it.isEndTold && it.node.isLive }.forEach(::recover)
  }

  /** Its node, which was not told of its end, says that it runs. */
  private fun recover(lease: ModelLease) {
    lease.isOver = false
    lease.node.usedMib += lease.resource.memoryMib
    lease.node.usedVcores += lease.resource.vcores
    finished.removeAll { it.containerId == lease.id }
    if (lease.isReleased) unreleased += lease.id
  }

  /** It and the Application Master no longer agree how many heartbeats there were. */
  fun loseCount() {
    responseId += 7
    lastResponse?.let { response ->
      granted.addAll(0, response.allocatedContainers.map { leases.getValue(it.id) }.filter { !it.isTold })
      finished.addAll(0, response.completedContainersStatuses)
      updated.addAll(0, response.updatedNodes)
    }
    lastResponse = null
  }

  /** What a node's heartbeat leads to: all that names it or its rack, and one container that may be anywhere. */
  fun schedule(node: ModelNode) {
    if (isDown || !isRegistered || !node.isLive || node.name in excluded) return
    for ((priority, names) in rows) {
      var mayBeAnywhere = true
      while (true) {
        val any = names[ANYWHERE]?.takeIf { it.count > 0 } ?: break
        // The label of ANYWHERE is that of all names. What may not be here is passed over.
        if (any.label.orEmpty() != node.partition) break
        val atNode = names[node.name]?.takeIf { it.count > 0 }
        val atRack = names[node.rack]?.takeIf { it.count > 0 && (atNode != null || it.isRelaxed) }
        if (atNode == null && atRack == null && !any.isRelaxed) break
        // What comes after what does not fit here is not looked at.
        if (!hasRoom(node, any.size)) return
        if (atNode == null && atRack == null && !mayBeAnywhere) break
        if (atNode == null && atRack == null) mayBeAnywhere = false
        if (atNode != null) atNode.count--
        if (atNode != null || atRack != null) checkNotNull(names[node.rack]) { "${node.name} is named without its rack" }.count--
        any.count--
        grant(node, any.size, priority)
      }
    }
  }

  /**
   * Grants one more than is asked for at the most urgent priority, or at one of which nobody has ever heard.
   *
   * It answers what was asked for before, and so is in the partition of that.
   */
  fun grantUnasked(isUnheardOf: Boolean) {
    val (priority, names) = rows.entries.firstOrNull() ?: return
    val asked = names[ANYWHERE] ?: return
    nodes.values
      .firstOrNull {
        it.isLive && it.partition == asked.label.orEmpty() && hasRoom(it, asked.size)
      }?.let { grant(it, asked.size, if (isUnheardOf) UNHEARD_OF else priority) }
  }

  private fun grant(
    node: ModelNode,
    size: Resource,
    priority: Int,
  ) {
    val lease = ModelLease(containerId(++number), node, rounded(size), priority)
    node.usedMib += lease.resource.memoryMib
    node.usedVcores += lease.resource.vcores
    leases[lease.id] = lease
    granted += lease
    if (endsUntold > 0) {
      endsUntold--
      end(lease, PREEMPTED, "Container preempted by scheduler")
    }
  }

  /** The scheduler knows multiples of a step only, and without counting vcores it grants one. */
  private fun rounded(size: Resource) =
    Resource((size.memoryMib + STEP_MIB - 1) / STEP_MIB * STEP_MIB, if (countsVcores) size.vcores else 1)

  override fun registerApplicationMaster(request: RegisterApplicationMasterRequest): RegisterApplicationMasterResponse {
    refuseIfUnwell()
    if (isRegistered) throw InvalidApplicationMasterRequestException("Application Master is already registered : application_1")
    isRegistered = true
    responseId = 0
    loseAnswer()
    return Records.newRecord(RegisterApplicationMasterResponse::class.java).apply {
      maximumResourceCapability = maximum().toYarn()
      setSchedulerResourceTypes(
        if (countsVcores) {
          EnumSet.of(SchedulerResourceTypes.MEMORY, SchedulerResourceTypes.CPU)
        } else {
          EnumSet.of(SchedulerResourceTypes.MEMORY)
        },
      )
    }
  }

  override fun allocate(request: AllocateRequest): AllocateResponse {
    heartbeats++
    refuseIfUnwell()
    if (!isRegistered) throw ApplicationMasterNotRegisteredException("AM is not registered for known application attempt")
    lastResponse?.takeIf { request.responseId + 1 == responseId }?.let { return delivered(it) }
    if (request.responseId != responseId) {
      throw InvalidApplicationMasterRequestException(
        "Invalid responseId in AllocateRequest from application attempt: appattempt_1, expect responseId to be $responseId, " +
          "but get ${request.responseId}",
      )
    }
    val told = lastTold - request.releaseList.toSet()
    onHeartbeat(told.filterNot { leases.getValue(it).isReleased })
    refuseIfTooLarge(request)
    val forgotten = unreleased.filter { !leases.getValue(it).isOver } - request.releaseList.toSet()
    if (forgotten.isNotEmpty()) throw AssertionError("was given back, and after the restart is not: $forgotten")
    unreleased.clear()
    for (ask in request.askList) {
      val names = rows.getOrPut(ask.priority.priority) { LinkedHashMap() }
      // What is taken back names the smallest size and no label; a grant that was on its way has those that were asked for.
      val before = names[ask.resourceName]?.takeIf { ask.numContainers == 0 }
      val label = if (before != null) before.label else ask.nodeLabelExpression?.ifEmpty { null }
      names[ask.resourceName] = Row(before?.size ?: ask.capability.toDomain(), ask.numContainers, ask.relaxLocality, label)
    }
    for (names in rows.values) {
      val any = names[ANYWHERE]?.takeIf { it.count > 0 } ?: continue
      val label = any.label.orEmpty()
      names
        .filter { (name, row) ->
          row.count > 0 && nodes[name]?.let { it.isLive && it.partition != label } == true
        }.keys
        .firstOrNull()
        ?.let {
          throw AssertionError("asked at $it, which is out of reach of the label '$label'")
        }
    }
    excluded += request.resourceBlacklistRequest.blacklistAdditions
    excluded -= request.resourceBlacklistRequest.blacklistRemovals.toSet()
    val answer = answer()
    // The scheduler hears of it later: the end is in the next answer.
    request.releaseList.forEach { id -> leases[id]?.let(::takeBack) }
    loseAnswer()
    delivered(answer)
    if (restartsOnRelease && request.releaseList.any { leases[it]?.isLaunched == true }) {
      restartsOnRelease = false
      restart()
    }
    return answer
  }

  private fun takeBack(lease: ModelLease) {
    lease.isReleased = true
    end(lease, RELEASED, "Container released by application")
  }

  private fun refuseIfTooLarge(request: AllocateRequest) {
    val labelled = request.askList.firstOrNull { !it.nodeLabelExpression.isNullOrEmpty() && it.resourceName != ANYWHERE }
    if (labelled != null) throw AssertionError("a label at a name: $labelled")
    val most = maximum()
    val tooLarge = request.askList.firstOrNull { !it.capability.toDomain().fitsIn(most) } ?: return
    refusals++
    throw InvalidResourceRequestException(
      "Invalid resource request! Requested ${tooLarge.capability}, maximum allowed $most\n\tat RMServerUtils",
    )
  }

  private fun refuseIfUnwell() {
    if (isDown) throw IOException("connection refused")
    if (requestsToLose > 0) throw IOException("connection refused").also { requestsToLose-- }
    if (tokensToRefuse > 0) throw SecretManager.InvalidToken("unknown key").also { tokensToRefuse-- }
  }

  private fun loseAnswer() {
    if (answersToLose > 0) throw IOException("connection reset").also { answersToLose-- }
  }

  private fun delivered(response: AllocateResponse) =
    response.also {
      lastTold = it.allocatedContainers.map { container -> container.id }
      it.allocatedContainers.forEach { container -> leases.getValue(container.id).isTold = true }
      it.completedContainersStatuses.forEach { status -> leases[status.containerId]?.isEndTold = true }
      it.updatedNodes.forEach { node -> if (node.nodeState == NodeState.LOST) owed -= node.nodeId }
    }

  private fun answer(): AllocateResponse {
    responseId++
    val response = Records.newRecord(AllocateResponse::class.java)
    response.responseId = responseId
    response.allocatedContainers = granted.map { it.toContainer() }
    response.completedContainersStatuses = finished.toList()
    response.updatedNodes = updated.toList()
    response.availableResources = Resource(nodesInReach().sumOf { it.capacity.memoryMib - it.usedMib }, 1).toYarn()
    response.nmTokens = emptyList()
    granted.clear()
    finished.clear()
    updated.clear()
    lastResponse = response
    return response
  }

  private fun ModelLease.toContainer() =
    YarnContainer.newInstance(id, node.id, "${node.name}:8042", resource.toYarn(), Priority.newInstance(priority), token("container"))

  override fun finishApplicationMaster(request: FinishApplicationMasterRequest): FinishApplicationMasterResponse {
    refuseIfUnwell()
    if (!isRegistered) throw ApplicationMasterNotRegisteredException("Application Master is trying to unregister before registering")
    finalStatus = request
    return FinishApplicationMasterResponse.newInstance(true)
  }

  private fun ModelNode.report(state: NodeState): NodeReport =
    NodeReport.newInstance(id, state, "$name:8042", rack, Resource(usedMib, usedVcores).toYarn(), capacity.toYarn(), 0, "", 0).also {
      if (partition.isNotEmpty()) it.nodeLabels = setOf(partition)
    }

  override val protocol: ApplicationMasterProtocol get() = this

  override val namesHavePorts = false

  override fun nodeReports(): List<NodeReport> {
    if (isDown) throw IOException("connection refused")
    return nodes.values.filter { it.isLive }.map { it.report(NodeState.RUNNING) }
  }

  override fun queueInfo(name: String): QueueInfo? = null

  override fun useToken(token: Token) = Unit

  override fun useNodeToken(
    nodeId: String,
    token: Token,
  ) = Unit

  companion object {
    val CONFIGURED_MAXIMUM = Resource(16_384, 16)
    const val STEP_MIB = 128L
    const val UNHEARD_OF = 100_000
    const val RELEASED = -100
    const val LOST_NODE = -100
    const val LOST_WORDS = "Container released on a *lost* node"
    const val PREEMPTED = -102
  }
}

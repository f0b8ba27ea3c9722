package knit.am.yarn

import knit.am.core.Resource
import org.apache.hadoop.security.token.SecretManager
import org.apache.hadoop.yarn.api.ApplicationMasterProtocol
import org.apache.hadoop.yarn.api.protocolrecords.AllocateRequest
import org.apache.hadoop.yarn.api.protocolrecords.AllocateResponse
import org.apache.hadoop.yarn.api.protocolrecords.FinishApplicationMasterRequest
import org.apache.hadoop.yarn.api.protocolrecords.FinishApplicationMasterResponse
import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterRequest
import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterResponse
import org.apache.hadoop.yarn.api.protocolrecords.impl.pb.RegisterApplicationMasterResponsePBImpl
import org.apache.hadoop.yarn.api.records.ContainerId
import org.apache.hadoop.yarn.api.records.ContainerState
import org.apache.hadoop.yarn.api.records.ContainerStatus
import org.apache.hadoop.yarn.api.records.NMToken
import org.apache.hadoop.yarn.api.records.NodeId
import org.apache.hadoop.yarn.api.records.NodeReport
import org.apache.hadoop.yarn.api.records.NodeState
import org.apache.hadoop.yarn.api.records.Priority
import org.apache.hadoop.yarn.api.records.QueueInfo
import org.apache.hadoop.yarn.api.records.Token
import org.apache.hadoop.yarn.exceptions.ApplicationAttemptNotFoundException
import org.apache.hadoop.yarn.exceptions.ApplicationMasterNotRegisteredException
import org.apache.hadoop.yarn.exceptions.InvalidApplicationMasterRequestException
import org.apache.hadoop.yarn.exceptions.InvalidResourceRequestException
import org.apache.hadoop.yarn.proto.YarnProtos.ResourceInformationProto
import org.apache.hadoop.yarn.proto.YarnProtos.ResourceProto
import org.apache.hadoop.yarn.proto.YarnProtos.ResourceTypeInfoProto
import org.apache.hadoop.yarn.proto.YarnServiceProtos.RegisterApplicationMasterResponseProto
import org.apache.hadoop.yarn.proto.YarnServiceProtos.SchedulerResourceTypes
import org.apache.hadoop.yarn.util.Records
import java.io.IOException
import java.nio.ByteBuffer
import org.apache.hadoop.yarn.api.records.Container as YarnContainer

internal fun containerId(number: Int): ContainerId = ContainerId.fromString("container_1700000000000_0001_01_%06d".format(number))

internal fun token(name: String): Token = Token.newInstance(name.toByteArray(), "kind", name.toByteArray(), "service")

internal val Token.text: String
  get() = String(ByteBuffer.allocate(identifier.remaining()).put(identifier.duplicate()).array())

/**
 * YARN's side of the conversation, as CapacityScheduler and `ApplicationMasterService` lead it.
 *
 * It counts absolute numbers by priority and name and counts them down when it grants, answers a repeated heartbeat with
 * the answer it gave before, refuses a whole heartbeat for one request that is larger than its largest node, and forgets
 * all of it when it is started anew.
 */
internal class FakeYarn :
  ApplicationMasterProtocol,
  RmConnection {
  class Node(
    val name: String,
    val capacity: Resource,
    val rack: String = "/rack",
  ) {
    var freeMib = capacity.memoryMib
    val nodeId: NodeId get() = NodeId.newInstance(name, 8041)
  }

  private data class Row(
    val size: Resource,
    var count: Int,
  )

  val nodes = LinkedHashMap<String, Node>()
  val requests = mutableListOf<AllocateRequest>()
  val released = mutableListOf<ContainerId>()
  val excluded = LinkedHashSet<String>()
  val tokens = mutableListOf<String>()
  val nodeTokens = LinkedHashMap<String, String>()
  val live = LinkedHashMap<ContainerId, Pair<Node, Resource>>()
  var registrations = 0
  var finishedWith: FinishApplicationMasterRequest? = null

  /** How many of the next answers are lost after the request was worked in. */
  var answersToLose = 0

  /** How many of the next requests never arrive. */
  var requestsToLose = 0

  /** How often the token is refused. */
  var tokensToRefuse = 0

  /** How often YARN says that it has not written the end down yet. */
  var finishesToDelay = 0
  var isAttemptGone = false

  /** Named resources that it knows, the most of each that it grants, and whether its scheduler counts them. */
  var typeNames = emptyList<String>()
  var mostOthers = emptyMap<String, Long>()
  var countsAll = false
  var nextAmToken: Token? = null
  var nextNodeTokens = emptyList<NMToken>()

  private val rows = LinkedHashMap<Pair<Int, String>, Row>()
  private var isRegistered = false
  private var responseId = 0
  private var lastResponse: AllocateResponse? = null
  private val granted = mutableListOf<YarnContainer>()
  private val completed = mutableListOf<ContainerStatus>()
  private val updated = mutableListOf<NodeReport>()
  private var number = 0

  /** How many containers it would still grant. */
  val pending: Int
    get() = rows.entries.sumOf { if (it.key.second == ANYWHERE) it.value.count else 0 }

  /** What it was last told, by priority and name; nothing that is 0. */
  val counts: Map<Pair<Int, String>, Int>
    get() = rows.filterValues { it.count > 0 }.mapValues { it.value.count }

  fun add(node: Node) {
    nodes[node.name] = node
    if (isRegistered) updated += node.report(NodeState.RUNNING)
  }

  fun lose(name: String) {
    val node = nodes.remove(name) ?: return
    updated += node.report(NodeState.LOST)
  }

  fun complete(
    id: ContainerId,
    exitStatus: Int = 0,
  ) {
    val (node, size) = live.remove(id) ?: return
    node.freeMib += size.memoryMib
    completed += ContainerStatus.newInstance(id, ContainerState.COMPLETE, "", exitStatus)
  }

  /** Starts anew, or has another one take over: nodes and containers stay, what was asked for is forgotten. */
  fun restart() {
    isRegistered = false
    rows.clear()
    excluded.clear()
    granted.clear()
    lastResponse = null
    responseId = -1
  }

  /** What a node's own heartbeat leads to: all that names it or its rack, and one container that may be anywhere. */
  fun beat(node: Node) {
    if (node.name in excluded) return
    for (priority in rows.keys
      .map { it.first }
      .distinct()
      .sorted()) {
      var mayBeAnywhere = true
      while (true) {
        val any = rows[priority to ANYWHERE]?.takeIf { it.count > 0 } ?: break
        // As the CapacityScheduler does: what comes after is not looked at here.
        if (any.size.memoryMib > node.freeMib) return
        val atNode = rows[priority to node.name]?.takeIf { it.count > 0 }
        val atRack = rows[priority to node.rack]?.takeIf { it.count > 0 }
        if (atNode == null && atRack == null && !mayBeAnywhere) break
        if (atNode == null && atRack == null) mayBeAnywhere = false
        if (atNode != null) atNode.count--
        if (atNode != null || atRack != null) checkNotNull(rows[priority to node.rack]) { "the rack of ${node.name} was not named" }.count--
        any.count--
        grant(node, any.size, priority)
      }
    }
  }

  fun grant(
    node: Node,
    size: Resource,
    priority: Int,
  ): ContainerId {
    val id = containerId(++number)
    node.freeMib -= size.memoryMib
    live[id] = node to size
    granted +=
      YarnContainer.newInstance(id, node.nodeId, "${node.name}:8042", size.toYarn(), Priority.newInstance(priority), token("container"))
    return id
  }

  override fun registerApplicationMaster(request: RegisterApplicationMasterRequest): RegisterApplicationMasterResponse {
    if (isAttemptGone) throw InvalidApplicationMasterRequestException("Application doesn't exist in cache appattempt_1")
    if (isRegistered) throw InvalidApplicationMasterRequestException("Application Master is already registered : application_1")
    isRegistered = true
    registrations++
    responseId = 0
    if (answersToLose > 0) throw IOException("connection reset").also { answersToLose-- }
    val most = ResourceProto.newBuilder().setMemory(maximum().memoryMib).setVirtualCores(maximum().vcores)
    mostOthers.forEach { (name, amount) -> most.addResourceValueMap(ResourceInformationProto.newBuilder().setKey(name).setValue(amount)) }
    val types = (listOf("memory-mb", "vcores") + typeNames).map { ResourceTypeInfoProto.newBuilder().setName(it).build() }
    val response = RegisterApplicationMasterResponseProto.newBuilder().setMaximumCapability(most).addAllResourceTypes(types)
    if (countsAll) response.addSchedulerResourceTypes(SchedulerResourceTypes.MEMORY).addSchedulerResourceTypes(SchedulerResourceTypes.CPU)
    // As it comes over the wire: what is in it is read when it is looked at.
    return RegisterApplicationMasterResponsePBImpl(response.build())
  }

  override fun allocate(request: AllocateRequest): AllocateResponse {
    if (tokensToRefuse > 0) throw SecretManager.InvalidToken("unknown key").also { tokensToRefuse-- }
    if (requestsToLose > 0) throw IOException("connection refused").also { requestsToLose-- }
    if (isAttemptGone) throw ApplicationAttemptNotFoundException("Application attempt appattempt_1 doesn't exist in cache.")
    if (!isRegistered) throw ApplicationMasterNotRegisteredException("AM is not registered for known application attempt")
    requests += request
    val last = lastResponse
    if (last != null && request.responseId + 1 == responseId) return last
    if (request.responseId != responseId) {
      throw InvalidApplicationMasterRequestException(
        "Invalid responseId in AllocateRequest from application attempt: appattempt_1, expect responseId to be $responseId, " +
          "but get ${request.responseId}",
      )
    }
    val most = maximum().copy(others = mostOthers)
    request.askList.forEach { ask ->
      val size = ask.capability.toDomain()
      if (!size.fitsIn(most)) {
        throw InvalidResourceRequestException("Invalid resource request! Requested $size, maximum allowed $most\n\tat RMServerUtils")
      }
    }
    request.askList.forEach { rows[it.priority.priority to it.resourceName] = Row(it.capability.toDomain(), it.numContainers) }
    request.releaseList.forEach { id ->
      released += id
      complete(id, RELEASED)
    }
    excluded += request.resourceBlacklistRequest.blacklistAdditions
    excluded -= request.resourceBlacklistRequest.blacklistRemovals.toSet()
    return answer().also {
      if (answersToLose > 0) throw IOException("connection reset").also { answersToLose-- }
    }
  }

  private fun answer(): AllocateResponse {
    responseId++
    val response = Records.newRecord(AllocateResponse::class.java)
    response.responseId = responseId
    response.allocatedContainers = granted.toList()
    response.completedContainersStatuses = completed.toList()
    response.updatedNodes = updated.toList()
    response.availableResources = Resource(nodes.values.sumOf { it.freeMib }, 1).toYarn()
    response.nmTokens = nextNodeTokens
    nextAmToken?.let { response.amrmToken = it }
    granted.clear()
    completed.clear()
    updated.clear()
    nextNodeTokens = emptyList()
    nextAmToken = null
    lastResponse = response
    return response
  }

  override fun finishApplicationMaster(request: FinishApplicationMasterRequest): FinishApplicationMasterResponse {
    if (isAttemptGone) throw InvalidApplicationMasterRequestException("Application doesn't exist in cache appattempt_1")
    if (!isRegistered) throw ApplicationMasterNotRegisteredException("Application Master is trying to unregister before registering")
    finishedWith = request
    return FinishApplicationMasterResponse.newInstance(finishesToDelay-- <= 0)
  }

  private fun maximum() =
    Resource(
      nodes.values.maxOfOrNull { it.capacity.memoryMib } ?: 0,
      nodes.values.maxOfOrNull { it.capacity.vcores } ?: 0,
    )

  private fun Node.report(state: NodeState): NodeReport {
    val used = Resource(capacity.memoryMib - freeMib, 0)
    return NodeReport.newInstance(nodeId, state, "$name:8042", rack, used.toYarn(), capacity.toYarn(), 0, "", 0)
  }

  override val protocol: ApplicationMasterProtocol get() = this

  override val namesHavePorts = false

  /** Why nobody is told of the nodes. */
  var reportFailure: IOException? = null

  override fun nodeReports(): List<NodeReport> {
    reportFailure?.let { throw it }
    return nodes.values.map { it.report(NodeState.RUNNING) }
  }

  override fun queueInfo(name: String): QueueInfo? = null

  override var isClient = true

  override fun useToken(token: Token) {
    tokens += token.text
  }

  override fun useNodeToken(
    nodeId: String,
    token: Token,
  ) {
    nodeTokens[nodeId] = token.text
  }

  private companion object {
    const val RELEASED = -100
  }
}

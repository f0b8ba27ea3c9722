package knit.am.yarn

import knit.am.core.ReasonSource
import knit.am.core.Resource
import knit.am.core.Shape
import knit.am.core.WaitingCause
import knit.am.core.WaitingReason
import java.time.Instant

/** What the last heartbeats have shown of why containers are not granted. */
internal data class AllocationStatus(
  /** Of the shapes that were wanted then. */
  val shapes: Map<Shape, ShapeStatus>,
  /** By label. */
  val sizes: (String?) -> ContainerSizes?,
  /** What YARN says it would still grant to this application, without a label. */
  val headroom: Resource?,
  /** The most memory that is free on one of the nodes that would do for a shape, as far as is known. */
  val mostFreeMib: Map<Shape, Long>,
  /** When the RM answered last, on both clocks. */
  val answer: Instant,
  val answerMillis: Long,
  val queue: QueueUse? = null,
)

/** A few heartbeats: what takes no longer needs no reason. */
internal const val WAITING_AFTER_MILLIS = 3_000L

internal const val MAX_WAITING_REASONS = 64

/**
 * Why containers wait; nothing of those that do not wait for long yet.
 *
 * @param waiting how many containers of each shape wait, by service
 */
internal fun waitingReasons(
  waiting: Map<Shape, Map<String, Int>>,
  status: AllocationStatus,
  nowMillis: Long,
): List<WaitingReason> {
  val silentMillis = nowMillis - status.answerMillis
  return waiting.entries
    .asSequence()
    .flatMap { (shape, services) -> services.entries.asSequence().map { (service, count) -> Waiter(service, count, shape, status) } }
    .sortedWith(compareBy({ it.serviceName }, { it.size.memoryMib }, { it.size.vcores }))
    .mapNotNull { waiter ->
      val shape = status.shapes[waiter.shape]
      when {
        silentMillis >= WAITING_AFTER_MILLIS -> waiter.silence(silentMillis)
        shape == null || nowMillis - shape.sinceMillis < WAITING_AFTER_MILLIS -> null
        else -> waiter.reason(shape)
      }
    }.take(MAX_WAITING_REASONS)
    .toList()
}

/** Whether YARN's limits, and not its nodes, may be what [shape] waits for. */
internal fun AllocationStatus.isShortOfHeadroom(shape: Shape): Boolean {
  val left = headroom ?: return false
  // It is that of the default partition.
  if (shape.placement.label != null) return false
  val countsVcores = sizes(null)?.countsVcores == true
  return if (countsVcores) !shape.resource.fitsIn(left) else shape.resource.memoryMib > left.memoryMib
}

private class Waiter(
  val serviceName: String,
  val count: Int,
  val shape: Shape,
  private val status: AllocationStatus,
) {
  val size = shape.resource
  private val placement = shape.placement
  private val waits = if (count == 1) "A container of $size waits" else "$count containers of $size each wait"

  fun silence(silentMillis: Long) =
    WaitingReason(
      serviceName,
      count,
      size,
      WaitingCause.RESOURCE_MANAGER,
      "$waits for the ResourceManager, which has not answered for ${silentMillis / 1_000} s. " +
        "It is asked again until it does; look at its log if it stays so.",
      status.answer,
      facts = mapOf("silent_seconds" to "${silentMillis / 1_000}"),
    )

  fun reason(shapeStatus: ShapeStatus): WaitingReason {
    val standing = shapeStatus.standing
    val sizes = status.sizes(placement.label)
    val isWaitForRoom = standing == Standing.Asked || standing == Standing.InLine
    val draft =
      when {
        isWaitForRoom && sizes?.holdsInReach(size) == false -> outOfReach(sizes)
        standing is Standing.NoPlace -> noPlace(standing.shortage)
        standing is Standing.Refused -> refused(standing.words)
        standing == Standing.InLine -> inLine()
        standing == Standing.TooLarge -> tooLarge(sizes)
        else -> room()
      }
    return WaitingReason(
      serviceName,
      count,
      size,
      draft.cause,
      "$waits ${draft.explanation}",
      shapeStatus.since,
      source = draft.source,
      isCertain = draft.isCertain,
      facts = draft.facts,
    )
  }

  private class Draft(
    val cause: WaitingCause,
    val source: ReasonSource,
    val explanation: String,
    val facts: Map<String, String> = emptyMap(),
    val isCertain: Boolean = true,
  )

  /** YARN does not say what is short. Its headroom tells whether it is limits, its queue which, and its nodes whether there is room at all. */
  private fun room(): Draft {
    val mostFree = status.mostFreeMib[shape]
    val nodesAreFull = mostFree != null && mostFree < size.memoryMib
    val isShort = status.isShortOfHeadroom(shape)
    return when {
      isShort && status.queue?.isFullFor(size, countsVcores) == true -> queueFull(status.queue)
      nodesAreFull && placement.isStrict && placement.hasNames -> namesFull(checkNotNull(mostFree))
      nodesAreFull -> nodesFull(checkNotNull(mostFree))
      isShort && status.queue?.limit != null -> userLimit(status.queue)
      isShort -> likelyQueueFull()
      else -> likelyTurn()
    }
  }

  private val countsVcores: Boolean
    get() = status.sizes(placement.label)?.countsVcores == true

  private fun queueFull(queue: QueueUse) =
    Draft(
      WaitingCause.QUEUE_FULL,
      ReasonSource.QUEUE_REPORT,
      "for room in the queue ${queue.name}, which uses ${queue.usedOfLimit()}. " +
        "Wait for other containers to end, ask for less, or use another queue.",
      queue.facts(countsVcores) + headroomFacts(),
    )

  private fun userLimit(queue: QueueUse) =
    Draft(
      WaitingCause.USER_LIMIT,
      ReasonSource.HEARTBEAT,
      "likely for this user's share of the queue ${queue.name}: it leaves ${status.headroom} to this application, and uses " +
        "${queue.usedOfLimit()}. Wait for other containers of the same user to end, or use another queue.",
      queue.facts(countsVcores) + headroomFacts(),
      isCertain = false,
    )

  private fun QueueUse.usedOfLimit() =
    if (countsVcores) "$used of the $limit it may" else "${used.memoryMib} MiB of the ${limit?.memoryMib} MiB it may"

  private fun likelyQueueFull() =
    Draft(
      WaitingCause.QUEUE_FULL,
      ReasonSource.HEARTBEAT,
      "for room in the queue or on a node. The queue and its limits leave ${status.headroom?.memoryMib} MiB to this application now. " +
        "Wait for other containers to end, ask for less, or use another queue.",
      headroomFacts(),
      isCertain = false,
    )

  private fun nodesFull(mostFreeMib: Long) =
    Draft(
      WaitingCause.CAPACITY,
      ReasonSource.NODE_REPORT,
      "for room in the queue or on a node. No node${labelled()} has more than $mostFreeMib MiB free now. " +
        "Wait for other containers to end, or ask for less.",
      mapOf("most_free_memory_mib" to "$mostFreeMib") + labelFacts() + headroomFacts(),
    )

  private fun namesFull(mostFreeMib: Long) =
    Draft(
      WaitingCause.PLACEMENT,
      ReasonSource.NODE_REPORT,
      "for room on ${names()}: none of these has more than $mostFreeMib MiB free now. " +
        "Wait for other containers to end, ask for less, or let them be elsewhere.",
      mapOf("most_free_memory_mib" to "$mostFreeMib"),
    )

  private fun likelyTurn(): Draft {
    val left =
      status.headroom?.let {
        "The queue and its limits leave $it to this application now, and it likely takes its turn with others. "
      }
    return Draft(
      WaitingCause.CAPACITY,
      ReasonSource.HEARTBEAT,
      "for room in the queue or on a node. " + (left ?: "") + "Wait for other containers to end, ask for less, or use another queue.",
      labelFacts() + headroomFacts(),
      isCertain = false,
    )
  }

  private fun inLine() =
    Draft(
      WaitingCause.TURN,
      ReasonSource.APPLICATION_MASTER,
      "for the turn of this size: the application asks for ${ShapeAdmission.MAX_OPEN_SHAPES} other sizes now, " +
        "which is the most at a time. Use fewer different sizes to wait less.",
      mapOf("most_sizes" to "${ShapeAdmission.MAX_OPEN_SHAPES}"),
    )

  private fun tooLarge(sizes: ContainerSizes?): Draft {
    val node = sizes?.closestTo(size)
    val most =
      when {
        sizes == null -> ""
        node != null && size.fitsIn(node.capacity) -> "YARN grants at most ${sizes.maximum} to one container. "
        node != null -> "The largest live one${labelled()}, ${node.nodeId}, has ${node.capacity}. "
        else -> "YARN grants at most ${sizes.maximum} to one. "
      }
    return Draft(
      WaitingCause.TOO_LARGE,
      ReasonSource.NODE_REPORT,
      "for a node that is large enough. ${most}YARN is asked as soon as there is one; start one, or ask for less.",
      largestFacts(node) + labelFacts(),
    )
  }

  private fun outOfReach(sizes: ContainerSizes): Draft {
    val node = sizes.closestInReachTo(size)
    val which = if (placement.label == null) "without a label that the application lacks" else "with the label '${placement.label}'"
    val most = if (node == null) "" else "The largest one $which, ${node.nodeId}, has ${node.capacity}. "
    return Draft(
      WaitingCause.TOO_LARGE,
      ReasonSource.NODE_REPORT,
      "for a node that is large enough. ${most}Start one, or ask for less.",
      largestFacts(node) + labelFacts(),
    )
  }

  private fun noPlace(shortage: Shortage): Draft =
    when (shortage) {
      Shortage.Label -> {
        Draft(
          WaitingCause.LABEL,
          ReasonSource.NODE_REPORT,
          "for a node with the label '${placement.label}': there is no live one. " +
            "YARN is asked as soon as there is; give a node the label, or use another one.",
          labelFacts(),
        )
      }

      Shortage.Names -> {
        Draft(
          WaitingCause.PLACEMENT,
          ReasonSource.NODE_REPORT,
          "for ${names()}: none of these is alive${labelled()}. YARN is asked as soon as one is; start one, or let them be elsewhere.",
        )
      }

      is Shortage.Apart -> {
        Draft(
          WaitingCause.PLACEMENT,
          ReasonSource.NODE_REPORT,
          "for a node without a container of the same service: each of the ${shortage.nodes} that could hold one has one. " +
            "YARN is asked as soon as another one comes; start one, or let containers share a node.",
          mapOf("nodes" to "${shortage.nodes}"),
        )
      }

      is Shortage.Misplaced -> {
        Draft(
          WaitingCause.PLACEMENT,
          ReasonSource.HEARTBEAT,
          "for a node where it may be: YARN has granted ${shortage.times} in a row elsewhere, which were given back. " +
            "It is asked again after a while, and less often each time.",
          mapOf("misplaced" to "${shortage.times}"),
        )
      }
    }

  private fun refused(words: String): Draft {
    val isOfLabel = placement.label != null && "label" in words
    return Draft(
      if (isOfLabel) WaitingCause.LABEL else WaitingCause.REFUSED,
      ReasonSource.REFUSAL,
      "for YARN to accept the request, which it refuses: \"$words\" It is tried again now and then, and whenever the nodes change.",
      labelFacts(),
    )
  }

  private fun names(): String =
    (placement.nodes.sorted() + placement.racks.sorted()).let { all ->
      if (all.size <= FEW) all.joinToString() else all.take(FEW).joinToString() + " and ${all.size - FEW} more"
    }

  private fun labelled() = placement.label?.let { " with the label '$it'" }.orEmpty()

  private fun labelFacts() = placement.label?.let { mapOf("label" to it) }.orEmpty()

  private fun headroomFacts(): Map<String, String> =
    status.headroom
      ?.takeIf { placement.label == null }
      ?.let { amounts("headroom", it) }
      .orEmpty()

  private fun largestFacts(node: NodeRoom?) = node?.let { amounts("largest", it.capacity) }.orEmpty()

  private companion object {
    /** Names in a sentence. */
    const val FEW = 5
  }
}

private fun amounts(
  what: String,
  resource: Resource,
  countsVcores: Boolean = true,
): Map<String, String> =
  mapOf("${what}_memory_mib" to "${resource.memoryMib}") +
    if (countsVcores) mapOf("${what}_vcores" to "${resource.vcores}") else emptyMap()

/** Without vcores where the scheduler does not count them: it lets a queue have more than its share of them. */
private fun QueueUse.facts(countsVcores: Boolean): Map<String, String> =
  mapOf("queue" to name) + amounts("used", used, countsVcores) +
    capacity?.let { amounts("capacity", it, countsVcores) }.orEmpty() +
    limit?.let { amounts("limit", it, countsVcores) }.orEmpty()

package knit.am.yarn

import knit.am.core.ReasonSource
import knit.am.core.Resource
import knit.am.core.WaitingCause
import knit.am.core.WaitingReason
import java.time.Instant

/** What the last heartbeats have shown of why containers are not granted. */
internal data class AllocationStatus(
  /** Of the shapes that were wanted then. */
  val shapes: Map<Shape, ShapeStatus>,
  val sizes: ContainerSizes?,
  /** What YARN says it would still grant to this application. */
  val headroom: Resource?,
  /** The most memory that is free on one node, as far as is known. */
  val mostFreeMib: Long?,
  /** When the RM answered last, on both clocks. */
  val answer: Instant,
  val answerMillis: Long,
)

/** A few heartbeats: what takes no longer needs no reason. */
internal const val WAITING_AFTER_MILLIS = 3_000L

internal const val MAX_WAITING_REASONS = 64

/**
 * Why containers wait; nothing of those that do not wait for long yet.
 *
 * @param waiting how many containers of each size wait, by service
 */
internal fun waitingReasons(
  waiting: Map<Resource, Map<String, Int>>,
  status: AllocationStatus,
  nowMillis: Long,
): List<WaitingReason> {
  val silentMillis = nowMillis - status.answerMillis
  return waiting.entries
    .asSequence()
    .flatMap { (size, services) -> services.entries.asSequence().map { (service, count) -> Waiter(service, count, size) } }
    .sortedWith(compareBy({ it.serviceName }, { it.size.memoryMib }, { it.size.vcores }))
    .mapNotNull { waiter ->
      val shape = status.shapes[Shape(waiter.size)]
      when {
        silentMillis >= WAITING_AFTER_MILLIS -> waiter.silence(status, silentMillis)
        shape == null || nowMillis - shape.sinceMillis < WAITING_AFTER_MILLIS -> null
        else -> waiter.reason(shape, status)
      }
    }.take(MAX_WAITING_REASONS)
    .toList()
}

private class Waiter(
  val serviceName: String,
  val count: Int,
  val size: Resource,
) {
  private val waits = if (count == 1) "A container of $size waits" else "$count containers of $size each wait"

  fun silence(
    status: AllocationStatus,
    silentMillis: Long,
  ) = because(
    WaitingCause.RESOURCE_MANAGER,
    "$waits for the ResourceManager, which has not answered for ${silentMillis / 1_000} s. " +
      "It is asked again until it does; look at its log if it stays so.",
    status.answer,
  )

  fun reason(
    shape: ShapeStatus,
    status: AllocationStatus,
  ): WaitingReason {
    val standing = shape.standing
    val isWaitForRoom = standing == Standing.Asked || standing == Standing.InLine
    if (isWaitForRoom && status.sizes?.holdsInReach(size) == false) {
      return because(WaitingCause.TOO_LARGE, outOfReach(status.sizes), shape.since)
    }
    return when (standing) {
      Standing.Asked -> because(WaitingCause.CAPACITY, capacity(status), shape.since)
      Standing.InLine -> because(WaitingCause.CAPACITY, inLine(), shape.since)
      Standing.TooLarge -> because(WaitingCause.TOO_LARGE, tooLarge(status.sizes), shape.since)
      is Standing.Refused -> because(WaitingCause.REFUSED, refused(standing.words), shape.since)
    }
  }

  /** YARN does not say what is short; its headroom tells whether it is the queue and its limits. */
  private fun capacity(status: AllocationStatus): String {
    val headroom = status.headroom
    val mostFree = status.mostFreeMib
    val detail =
      when {
        headroom != null && headroom.memoryMib < size.memoryMib -> {
          "The queue and its limits leave ${headroom.memoryMib} MiB to this application now. " +
            "Wait for other containers to end, ask for less, or use another queue."
        }

        mostFree != null && mostFree < size.memoryMib -> {
          "No node has more than $mostFree MiB free now. Wait for other containers to end, or ask for less."
        }

        headroom != null -> {
          "The queue and its limits leave $headroom to this application now, and it likely takes its turn with others."
        }

        else -> {
          "Wait for other containers to end, ask for less, or use another queue."
        }
      }
    return "$waits for room in the queue or on a node. $detail"
  }

  private fun inLine(): String =
    "$waits for the turn of this size: the application asks for ${ShapeAdmission.MAX_OPEN_SHAPES} other sizes now, " +
      "which is the most at a time. Use fewer different sizes to wait less."

  private fun tooLarge(sizes: ContainerSizes?): String {
    val node = sizes?.closestTo(size)
    val most =
      when {
        sizes == null -> ""
        node != null && size.fitsIn(node.capacity) -> "YARN grants at most ${sizes.maximum} to one container. "
        node != null -> "The largest live one, ${node.nodeId}, has ${node.capacity}. "
        else -> "YARN grants at most ${sizes.maximum} to one. "
      }
    return "$waits for a node that is large enough. ${most}YARN is asked as soon as there is one; start one, or ask for less."
  }

  private fun outOfReach(sizes: ContainerSizes): String {
    val node = sizes.closestInReachTo(size)
    val most =
      if (node == null) "" else "The largest one without a label that the application lacks, ${node.nodeId}, has ${node.capacity}. "
    return "$waits for a node that is large enough. ${most}Start one, or ask for less."
  }

  private fun refused(words: String): String =
    "$waits for YARN to accept the request, which it refuses: \"$words\" It is tried again now and then, and whenever the nodes change."

  private fun because(
    cause: WaitingCause,
    explanation: String,
    since: Instant,
  ) = WaitingReason(
    serviceName,
    count,
    size,
    cause,
    explanation,
    since,
    source = sourceOf(cause),
    isCertain =
      cause != WaitingCause.CAPACITY,
  )

  private fun sourceOf(cause: WaitingCause): ReasonSource =
    when (cause) {
      WaitingCause.REFUSED -> ReasonSource.REFUSAL
      WaitingCause.TOO_LARGE -> ReasonSource.NODE_REPORT
      else -> ReasonSource.HEARTBEAT
    }
}

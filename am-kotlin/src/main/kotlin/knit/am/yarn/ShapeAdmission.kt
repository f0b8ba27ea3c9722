package knit.am.yarn

import knit.am.core.Shape
import java.time.Instant

/** Where a shape stands that containers wait for. */
internal sealed interface Standing {
  /** YARN is asked for it. */
  object Asked : Standing

  /** As many other shapes are asked for as may be at a time. */
  object InLine : Standing

  /** No live node is that large. */
  object TooLarge : Standing

  /** No node will do. */
  data class NoPlace(
    val shortage: Shortage,
  ) : Standing

  /** YARN refuses to be asked for it, in these [words]. */
  data class Refused(
    val words: String,
  ) : Standing
}

/** A [standing], since when, and since when in vain: without a grant. */
internal data class ShapeStatus(
  val standing: Standing,
  val since: Instant,
  val sinceMillis: Long,
)

/**
 * Chooses which of the shapes that are wanted YARN is asked for: those it would not refuse, and not too many at a time.
 *
 * For one request that it refuses YARN throws away the whole heartbeat, so what it is known to refuse is withheld.
 */
internal class ShapeAdmission(
  private val nowMillis: () -> Long,
  private val now: () -> Instant,
) {
  private class Refusal(
    val words: String,
    val tries: Int,
    val triedMillis: Long,
  ) {
    var retryMillis = triedMillis + (FIRST_RETRY_MILLIS shl (tries - 1).coerceAtMost(MAX_DOUBLINGS)).coerceAtMost(LAST_RETRY_MILLIS)
    var retriedMillis: Long? = null
  }

  private class Entry(
    var status: ShapeStatus,
  ) {
    var lineMillis = status.sinceMillis
    var turnMillis = status.sinceMillis
    var refusal: Refusal? = null

    val isAsked get() = status.standing == Standing.Asked
  }

  private val entries = LinkedHashMap<Shape, Entry>()

  /** Where each shape stands that was last wanted. */
  fun statuses(): Map<Shape, ShapeStatus> = entries.mapValues { it.value.status }

  /**
   * Returns which of [wanted] to ask for now.
   *
   * @param withheld why a shape is not to be asked for whoever's turn it is; null if it may be
   */
  fun admit(
    wanted: Set<Shape>,
    withheld: (Shape) -> Standing?,
  ): Set<Shape> {
    val time = nowMillis()
    entries.keys.retainAll(wanted)
    wanted.forEach { shape -> entries.getOrPut(shape) { Entry(ShapeStatus(Standing.InLine, now(), time)) } }
    val candidates = LinkedHashMap<Shape, Entry>()
    for ((shape, entry) in entries) {
      val standing = withheld(shape) ?: entry.refusalAt(time)
      if (standing == null) candidates[shape] = entry else entry.stand(standing)
    }
    return takeTurns(candidates, time)
  }

  /** A container of [shape] was granted: it is not waited for in vain. */
  fun granted(shape: Shape) {
    val entry = entries[shape] ?: return
    entry.refusal = null
    entry.turnMillis = nowMillis()
    entry.status = ShapeStatus(Standing.Asked, now(), nowMillis())
  }

  /** YARN has refused [shape]. */
  fun refused(
    shape: Shape,
    words: String,
  ) {
    val entry = entries[shape] ?: return
    val before = entry.refusal
    entry.refusal = Refusal(words, (before?.tries ?: 0) + 1, nowMillis())
    entry.stand(Standing.Refused(words))
  }

  /** What was refused may be acceptable now: it is tried anew as soon as it was left alone for a moment. */
  fun nodesChanged() {
    entries.values.mapNotNull { it.refusal }.forEach { refusal ->
      refusal.retryMillis = minOf(refusal.retryMillis, maxOf(refusal.triedMillis + SOON_MILLIS, nowMillis()))
    }
  }

  private fun takeTurns(
    candidates: Map<Shape, Entry>,
    time: Long,
  ): Set<Shape> {
    val isCrowded = candidates.size > MAX_OPEN_SHAPES
    val (staying, line) =
      candidates.entries.partition { (_, entry) ->
        entry.isAsked &&
          !(isCrowded && time - entry.turnMillis >= TURN_MILLIS)
      }
    // Whose turn is over goes to the end of the line.
    line.filter { it.value.isAsked }.forEach { it.value.lineMillis = time }
    val next = line.sortedBy { it.value.lineMillis }.take(MAX_OPEN_SHAPES - staying.size)
    val admitted = (staying + next).mapTo(LinkedHashSet()) { it.key }
    for ((shape, entry) in line) {
      if (shape in admitted) entry.turnMillis = time
      when {
        shape !in admitted -> entry.stand(Standing.InLine)
        entry.refusal == null -> entry.stand(Standing.Asked)
        else -> entry.refusal?.retriedMillis = entry.refusal?.retriedMillis ?: time
      }
    }
    return admitted
  }

  /** Whether it is still withheld; what is tried again and not refused is forgiven after a while. */
  private fun Entry.refusalAt(time: Long): Standing? {
    val refusal = refusal ?: return null
    val retried = refusal.retriedMillis
    if (retried != null && time - retried >= SOON_MILLIS) this.refusal = null
    return if (time < refusal.retryMillis) Standing.Refused(refusal.words) else null
  }

  /** That a shape waits in line or is asked for makes no difference to how long it has been waiting for room. */
  private fun Entry.stand(standing: Standing) {
    if (status.standing == standing) return
    val stillWaits = status.standing.isWaitForRoom && standing.isWaitForRoom
    status = if (stillWaits) status.copy(standing = standing) else ShapeStatus(standing, now(), nowMillis())
  }

  private val Standing.isWaitForRoom get() = this == Standing.Asked || this == Standing.InLine

  companion object {
    /** Each is up to a hundred requests in a heartbeat, and a table in the RM: more different sizes than this wait for their turn. */
    const val MAX_OPEN_SHAPES = 64

    /** How long a shape may be asked for in vain while others wait for their turn. */
    const val TURN_MILLIS = 60_000L

    const val SOON_MILLIS = 5_000L
    private const val FIRST_RETRY_MILLIS = 10_000L
    private const val LAST_RETRY_MILLIS = 300_000L
    private const val MAX_DOUBLINGS = 5
  }
}

package knit.am.grpc

import java.util.concurrent.ConcurrentHashMap

/**
 * Counts the answers that clients have not taken yet, by connection.
 *
 * A stream goes on as its client reads, an answer of one message is handed over whole: whoever calls and does not read would
 * fill the memory with them.
 */
internal class UnreadAnswers(
  private val maxBytes: Long = MAX_BYTES,
) {
  private val bytes = ConcurrentHashMap<Any, Long>()

  /** Whether [size] more bytes may wait for the client of [connection]. A single answer always may. */
  fun add(
    connection: Any,
    size: Int,
  ): Boolean {
    var isAdded = true
    bytes.compute(connection) { _, before ->
      isAdded = before == null || before + size <= maxBytes
      if (isAdded) (before ?: 0) + size else before
    }
    return isAdded
  }

  fun remove(
    connection: Any,
    size: Int,
  ) {
    bytes.computeIfPresent(connection) { _, before -> (before - size).takeIf { it > 0 } }
  }

  companion object {
    /** Some pages of a list; one message has as much at the most. */
    const val MAX_BYTES = 16L * 1024 * 1024
  }
}

package knit.am.grpc

import knit.am.core.AmException
import knit.am.core.Reason
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.first
import java.util.concurrent.atomic.AtomicInteger

/** How many watch at a time, and how much of what they were sent may wait in memory until they take it. */
internal class WatchBudget(
  private val maxWatches: Int = MAX_WATCHES,
  private val maxBytes: Long = MAX_BYTES,
) {
  private val watches = AtomicInteger()
  private val heldBytes = MutableStateFlow(0L)

  /** @throws AmException.ResourceExhausted where too many watch already. */
  suspend fun watch(block: suspend () -> Unit) {
    try {
      if (watches.incrementAndGet() > maxWatches) {
        throw AmException.ResourceExhausted(
          "$maxWatches watches are open already. Close some, or watch more on one.",
          Reason.TOO_MANY_STREAMS,
          mapOf("max_count" to "$maxWatches"),
        )
      }
      block()
    } finally {
      watches.decrementAndGet()
    }
  }

  /** Does [block] while a message of so many [bytes] waits to be taken; waits before, where others hold too much. One may always. */
  suspend fun holding(
    bytes: Long,
    block: suspend () -> Unit,
  ) {
    while (true) {
      val held = heldBytes.value
      if (hasRoom(held, bytes)) {
        if (heldBytes.compareAndSet(held, held + bytes)) break
      } else {
        heldBytes.first { hasRoom(it, bytes) }
      }
    }
    try {
      block()
    } finally {
      while (true) {
        val held = heldBytes.value
        if (heldBytes.compareAndSet(held, held - bytes)) break
      }
    }
  }

  private fun hasRoom(
    held: Long,
    bytes: Long,
  ) = held == 0L || held + bytes <= maxBytes

  companion object {
    /** As there are connections. */
    const val MAX_WATCHES = 1_024

    /** Two of the largest messages: a tenth of the smallest Application Master's heap. */
    const val MAX_BYTES = 32L * 1024 * 1024
  }
}

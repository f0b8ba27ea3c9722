package knit.am.log

import kotlinx.coroutines.sync.Semaphore
import java.io.IOException
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger

/**
 * How many files are read from each node at a time, by all streams together, and which nodes do not answer.
 *
 * Entries are never removed: there are as many as the application has had nodes.
 */
internal class NodeCalls {
  class Node {
    private val calls = Semaphore(MAX_CALLS)

    /** For a node that has not answered yet, or no more: one may find out. */
    private val first = Semaphore(1)

    @Volatile
    private var answers = false

    /** Whether the last call has come to nothing. */
    @Volatile
    var isSilent = false
      private set

    val limit: Int
      get() = if (answers) MAX_CALLS else 1

    private val waiting = AtomicInteger()

    val isWaitedFor: Boolean
      get() = waiting.get() > 0

    suspend fun <T> use(block: suspend () -> T): T {
      if (answers) return calls.using(block)
      // Whoever finds that another one has found out takes its place among all.
      val once = first.using { if (answers) null else Once(calls.using(block)) }
      return if (once == null) calls.using(block) else once.value
    }

    private class Once<T>(
      val value: T,
    )

    private suspend fun <T> Semaphore.using(block: suspend () -> T): T {
      if (!tryAcquire()) {
        waiting.incrementAndGet()
        try {
          acquire()
        } finally {
          waiting.decrementAndGet()
        }
      }
      try {
        return block()
      } finally {
        release()
      }
    }

    /** What [call] returns, and note of whether it was answered at all. */
    suspend fun <T> heeding(call: suspend () -> T): T =
      try {
        call().also { heard() }
      } catch (missing: LogMissingException) {
        heard()
        throw missing
      } catch (failure: IOException) {
        answers = false
        isSilent = true
        throw failure
      }

    private fun heard() {
      answers = true
      isSilent = false
    }
  }

  private val nodes = ConcurrentHashMap<String, Node>()

  fun of(nodeHttpAddress: String): Node = nodes.computeIfAbsent(nodeHttpAddress) { Node() }

  private companion object {
    /** A node has containers to run; what it sends is sent as fast by four as by forty. */
    const val MAX_CALLS = 4
  }
}

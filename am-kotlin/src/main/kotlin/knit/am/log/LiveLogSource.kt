package knit.am.log

import knit.am.AmException
import knit.am.core.Container
import knit.am.core.ContainerState
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.sync.Semaphore
import kotlinx.coroutines.sync.withPermit
import kotlinx.coroutines.withContext
import java.io.IOException
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger

/**
 * Logs as they lie on the containers' nodes, while the application lives.
 *
 * @param dispatcher where blocking calls to nodes wait
 */
class LiveLogSource(
  private val client: NodeLogClient,
  private val dispatcher: CoroutineDispatcher,
) : LogSource {
  private val nodes = ConcurrentHashMap<String, Semaphore>()
  private val followers = AtomicInteger()

  override suspend fun files(container: Container): List<LogFile> {
    val lease = container.lease ?: return emptyList()
    if (container.state == ContainerState.LAUNCHING) return emptyList()
    return try {
      on(container) { client.list(lease.nodeHttpAddress, lease.containerId) }
    } catch (failure: IOException) {
      throw AmException.Unavailable(
        "Node ${lease.nodeId} did not list the logs of ${lease.containerId}: ${failure.words()}. " +
          "Try again, or read the aggregated logs once the application has ended.",
      )
    }
  }

  override fun read(
    container: StateFlow<Container>,
    fileName: String,
    start: LogStart,
    follow: Boolean,
  ): Flow<LogPiece> =
    flow {
      followers.incrementAndGet()
      try {
        FileReader(container, fileName, start, follow, Opener(container.value, fileName), ::maxPollMillis).send(this)
      } finally {
        followers.decrementAndGet()
      }
    }

  /** With thousands of followers the nodes would do nothing but answer them: each then waits longer while its file is quiet. */
  private fun maxPollMillis(): Long = MAX_POLL_MILLIS + 2 * followers.get()

  /** A node that does not answer must not use up the threads that could ask others. */
  private suspend fun <T> on(
    container: Container,
    call: () -> T,
  ): T {
    val node = nodes.computeIfAbsent(checkNotNull(container.lease).nodeHttpAddress) { Semaphore(MAX_CALLS_PER_NODE) }
    return node.withPermit { runInterruptible(dispatcher, call) }
  }

  /** Opens one file, and reads what it has opened. */
  internal inner class Opener(
    private val container: Container,
    private val fileName: String,
  ) {
    private val lease = checkNotNull(container.lease) { "${container.key} has no lease, and so no log" }

    suspend fun open(lastBytes: Long?): LogContent =
      on(container) { client.open(lease.nodeHttpAddress, lease.containerId, fileName, lastBytes) }

    suspend fun <T> io(call: () -> T): T = on(container, call)

    /** Also where the collector has gone: the connection must not be left open. */
    suspend fun close(content: LogContent) = withContext(NonCancellable) { io { content.close() } }
  }

  private companion object {
    const val MAX_CALLS_PER_NODE = 16
    const val MAX_POLL_MILLIS = 1_000L
  }
}

internal fun Throwable.words(): String = message?.takeIf { it.isNotBlank() } ?: javaClass.simpleName

package knit.am.log

import knit.am.core.AmException
import knit.am.core.Container
import knit.am.core.ContainerState
import knit.am.core.Reason
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.withContext
import java.io.IOException
import java.util.concurrent.TimeUnit

/**
 * Logs as they lie on the containers' nodes, while the application lives.
 *
 * Where nodes show nothing to this application, whoever reads is refused with [AmException.FailedPrecondition].
 *
 * @param dispatcher where blocking calls to nodes wait; [PARALLEL_CALLS] of them at most
 * @param nowMillis a clock that never goes back
 */
internal class LiveLogSource(
  private val client: ContainerLogs,
  private val dispatcher: CoroutineDispatcher,
  nowMillis: () -> Long = { TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) },
) : LogSource {
  private val nodes = NodeCalls()
  private val listings = Listings(nowMillis)

  override suspend fun files(container: Container): List<LogFile> {
    val lease = container.lease ?: return emptyList()
    if (container.state == ContainerState.LAUNCHING) return emptyList()
    return try {
      val node = nodes.of(lease.nodeHttpAddress)
      node.use { node.heeding { call { client.list(lease.nodeHttpAddress, lease.containerId, it) } } }
    } catch (failure: IOException) {
      throw AmException.Unavailable(
        "Node ${lease.nodeId} did not list the logs of ${lease.containerId}: ${failure.words()}. " +
          "Try again, or read the aggregated logs once the application has ended.",
        Reason.LOGS_UNAVAILABLE,
        mapOf("node_id" to lease.nodeId, "container_id" to lease.containerId),
      )
    }
  }

  override fun readsAtOnce(container: Container): Int = container.lease?.let { nodes.of(it.nodeHttpAddress).limit } ?: 1

  override fun reader(
    container: Container,
    fileName: String,
    start: LogStart,
    follow: Boolean,
  ): LogReader = FileReader(fileName, start, follow, Opener(container, fileName))

  /** Cannot be interrupted; where nobody waits for it any more its connection is cut. */
  private suspend fun <T> call(block: (NodeRequest) -> T): T =
    coroutineScope {
      val request = NodeRequest()
      val answer = async(dispatcher) { block(request) }
      try {
        answer.await()
      } catch (cancelled: CancellationException) {
        request.abort()
        throw cancelled
      }
    }

  /** Opens one file, and reads what it has opened. */
  internal inner class Opener(
    container: Container,
    private val fileName: String,
  ) {
    private val lease = checkNotNull(container.lease) { "${container.key} has no lease, and so no log" }
    private val node = nodes.of(lease.nodeHttpAddress)
    private val listing = listings.enter(lease.containerId)

    val nodeId: String
      get() = lease.nodeId

    /** How long to wait at most until a file that is quiet is asked for again: the longer, the more there are. */
    val maxPollMillis: Long
      get() = MAX_POLL_MILLIS + listings.askedFor * MILLIS_PER_POLL

    /** Runs [block] with the right to ask the node; null where the collector takes nothing. */
    suspend fun <T : Any> use(
      turn: ReadTurn,
      block: suspend () -> T,
    ): T? = node.use { turn.use(block) }

    suspend fun open(
      turn: ReadTurn,
      lastBytes: Long?,
    ): LogContent {
      var opened: LogContent? = null
      try {
        return waiting(turn) {
          node.heeding {
            call { client.open(lease.nodeHttpAddress, lease.containerId, fileName, lastBytes, it).also { content -> opened = content } }
          }
        }
      } catch (
        @Suppress("TooGenericExceptionCaught") failure: Throwable,
      ) {
        opened?.let { close(it) }
        throw failure
      }
    }

    /**
     * The file's length by a list of all the container's files, which is asked for once for all who follow some of them; -1
     * where it is not among them, null where only asking for the file itself can tell.
     */
    suspend fun listedBytes(turn: ReadTurn): Long? =
      if (listing.isWorthwhile) listed(turn, maxPollMillis)?.let { it[fileName] ?: -1L } else null

    /** Whether there is such a file by now, asked for less and less often; null where only asking for it can tell. */
    suspend fun isListed(
      turn: ReadTurn,
      maxMillis: Long,
    ): Boolean? = listed(turn, listing.maxAgeOfMissing(maxMillis))?.containsKey(fileName)

    /** The names of all files that the container has now, asked for anew; null where the node does not tell. */
    suspend fun listedNames(turn: ReadTurn): Set<String>? = listed(turn, maxAgeMillis = 0)?.keys

    private suspend fun listed(
      turn: ReadTurn,
      maxAgeMillis: Long,
    ): Map<String, Long>? {
      listing.fresh(maxAgeMillis)?.let { return it.sizes }
      // Whoever waits for another one's question waits as if it were its own.
      return waiting(turn) {
        listing.answer(maxAgeMillis) { node.heeding { call { client.list(lease.nodeHttpAddress, lease.containerId, it) } } }
      }.sizes
    }

    /** Whether other streams want to read from this node. */
    val othersWait: Boolean
      get() = node.isWaitedFor

    private suspend fun <T> waiting(
      turn: ReadTurn,
      block: suspend () -> T,
    ): T = if (node.isSilent) turn.aside(block) else turn.patiently(block)

    suspend fun <T> io(
      turn: ReadTurn,
      block: () -> T,
    ): T = turn.patiently { withContext(dispatcher) { block() } }

    /** Also where the collector has gone: the connection must not be left open. */
    suspend fun close(content: LogContent) = withContext(NonCancellable + dispatcher) { content.close() }

    fun leave() = listings.leave(lease.containerId)
  }

  companion object {
    /** As many as [ReadBudget] has permits, and places for those that wait. */
    const val PARALLEL_CALLS = ReadBudget.MAX_READS + ReadBudget.MAX_ASIDES
    private const val MAX_POLL_MILLIS = 1_000L

    /** So that all polls together are 500 a second at most. */
    private const val MILLIS_PER_POLL = 2L
  }
}

internal fun Throwable.words(): String = message?.takeIf { it.isNotBlank() } ?: javaClass.simpleName

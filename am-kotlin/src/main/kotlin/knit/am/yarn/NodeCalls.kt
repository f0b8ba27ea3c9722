package knit.am.yarn

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.Semaphore
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.sync.withPermit
import kotlinx.coroutines.withTimeoutOrNull
import java.io.IOException
import java.util.concurrent.ConcurrentHashMap
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds

/** A NodeManager was asked and did not answer in time. */
internal class NodeSilentException(
  nodeId: String,
  limit: Duration,
) : IOException("NodeManager $nodeId did not answer within $limit")

/** A NodeManager was not asked, for the reason of the message, and nothing is known of it by that. */
internal class NodeNotAskedException(
  message: String,
) : Exception(message)

/**
 * Calls to NodeManagers: a few at a time to one node, and one while that does not answer, so that nodes that are down
 * leave room for the others.
 *
 * What a call carries is in memory several times over while it is made, so a large one takes the place of several.
 *
 * The time limit begins with the call. Waiting for one's turn has none, except behind a node that does not answer.
 *
 * @param nowMillis a clock that never goes back
 */
internal class NodeCalls(
  private val nowMillis: () -> Long,
  private val perNode: Int = PER_NODE,
  private val total: Int = TOTAL,
  private val callLimit: Duration = CALL_LIMIT,
  private val queueLimit: Duration = QUEUE_LIMIT,
) {
  private val all = Semaphore(total)

  /** Held while the places for a large call are taken: two that have half of them each would wait for ever. */
  private val gathering = Mutex()

  /** One for each node that was ever called; there are no more than the cluster has. */
  private val nodes = ConcurrentHashMap<String, Node>()

  /**
   * Makes [call], which carries about [sizeBytes], when it is its turn, and returns what it returns.
   *
   * @throws NodeSilentException where it takes too long.
   * @throws NodeNotAskedException where it was not made.
   */
  suspend fun <T : Any> on(
    nodeId: String,
    sizeBytes: Long = 0,
    call: suspend () -> T,
  ): T {
    val places = (1 + sizeBytes / PLACE_BYTES).coerceAtMost(total.toLong()).toInt()
    val node = nodes.computeIfAbsent(nodeId) { Node(Semaphore(perNode)) }
    val givenMillis = nowMillis()
    return node.turns.withPermit {
      if (node.isSilent) {
        node.probing.withLock {
          if (node.isSilent && nowMillis() - givenMillis >= queueLimit.inWholeMilliseconds) {
            throw NodeNotAskedException("NodeManager $nodeId was not asked: for $queueLimit it has not answered the calls before this one")
          }
          make(nodeId, node, places, call)
        }
      } else {
        make(nodeId, node, places, call)
      }
    }
  }

  private suspend fun <T : Any> make(
    nodeId: String,
    node: Node,
    places: Int,
    call: suspend () -> T,
  ): T =
    try {
      val answer = inPlaces(places) { withTimeoutOrNull(callLimit) { call() } } ?: throw NodeSilentException(nodeId, callLimit)
      node.isSilent = false
      answer
    } catch (cancelled: CancellationException) {
      throw cancelled
    } catch (
      @Suppress("TooGenericExceptionCaught") failure: Exception,
    ) {
      when (failure) {
        is NodeNotAskedException, is UnlaunchableException -> {}

        // YARN's own exceptions are answers; the network's are not.
        else -> {
          node.isSilent = failure is IOException
        }
      }
      throw failure
    }

  private suspend fun <T> inPlaces(
    places: Int,
    work: suspend () -> T,
  ): T {
    if (places == 1) return all.withPermit { work() }
    var held = 0
    try {
      gathering.withLock {
        repeat(places) {
          all.acquire()
          held++
        }
      }
      return work()
    } finally {
      repeat(held) { all.release() }
    }
  }

  private class Node(
    val turns: Semaphore,
  ) {
    /** Held by the one call that is made while the node is silent. */
    val probing = Mutex()

    @Volatile
    var isSilent = false
  }

  companion object {
    /** A NodeManager serves 20 calls at a time by default, for everybody. */
    private const val PER_NODE = 4

    /** Each is a thread that waits. */
    const val TOTAL = 64

    /** Of what is launched, variables above all: 4 MiB in all at a time, which take some 40 MiB of the heap. */
    private const val PLACE_BYTES = 64 * 1024L

    /** A connection that is refused is tried for 10 s, and an answer waited for 15 s; see [RealNodeManager]. */
    private val CALL_LIMIT = 30.seconds
    private val QUEUE_LIMIT = 60.seconds
  }
}

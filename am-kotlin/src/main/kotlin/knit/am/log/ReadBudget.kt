package knit.am.log

import knit.am.core.AmException
import knit.am.core.Reason
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.sync.Semaphore
import kotlinx.coroutines.sync.withPermit
import kotlinx.coroutines.withTimeoutOrNull
import java.util.concurrent.atomic.AtomicInteger

/** How much of containers' logs is read at a time, by all streams together. */
internal class ReadBudget(
  reads: Int = MAX_READS,
  asides: Int = MAX_ASIDES,
  private val maxStreams: Int = MAX_STREAMS,
  private val maxFiles: Int = MAX_FILES,
) {
  val reads = Semaphore(reads)

  /** For calls that their node leaves unanswered: they wait apart, so that those to other nodes need not. */
  val asides = Semaphore(asides)
  private val streams = AtomicInteger()
  private val files = AtomicInteger()

  /** @throws AmException.ResourceExhausted where there are too many streams already. */
  suspend fun <T> stream(block: suspend () -> T): T {
    try {
      if (streams.incrementAndGet() > maxStreams) {
        throw AmException.ResourceExhausted(
          "$maxStreams log streams are open already. Close some, or follow more containers on one stream.",
          Reason.TOO_MANY_STREAMS,
          mapOf("max_count" to "$maxStreams"),
        )
      }
      return block()
    } finally {
      streams.decrementAndGet()
    }
  }

  /** @throws AmException.ResourceExhausted where too many files are followed already. */
  fun addFiles(count: Int) {
    if (files.addAndGet(count) > maxFiles) {
      files.addAndGet(-count)
      throw AmException.ResourceExhausted(
        "All log streams together follow $maxFiles files at most. Follow fewer containers or files.",
        Reason.TOO_MANY_FILES,
        mapOf("max_count" to "$maxFiles"),
      )
    }
  }

  fun removeFiles(count: Int) {
    files.addAndGet(-count)
  }

  companion object {
    /** Each is a connection, a thread and a chunk. */
    const val MAX_READS = 128
    const val MAX_ASIDES = 64
    const val MAX_STREAMS = 256

    /** What is known of a file takes some 300 bytes: 60 MB at the most. */
    const val MAX_FILES = 200_000
  }
}

/** How much one stream reads at a time. */
internal class StreamBudget {
  val readers = Semaphore(MAX_READERS)

  /** For chunks that are being read, or that the collector has not taken. */
  val chunks = Semaphore(MAX_CHUNKS)

  /** How many files wait for one. */
  val demanding = AtomicInteger()

  companion object {
    const val MAX_READERS = 32

    /** One is being sent, the next waits, one is read: more would be read no faster. 256 streams that stand still hold 48 MiB. */
    const val MAX_CHUNKS = 3
  }
}

/**
 * The right of one file to be read now: a place for a chunk, a reader of its stream, and a permit of [ReadBudget].
 *
 * It is held only while something is read. Whoever waits, for a node or for the collector, gives it back meanwhile.
 */
internal class ReadTurn(
  private val budget: ReadBudget,
  private val stream: StreamBudget,
  private val isAnyWaiting: () -> Boolean = { false },
  /** Told whether the piece takes a place for a chunk along, which whoever collects it has to give back. */
  private val deliver: (LogPiece, Boolean) -> Unit,
) {
  private var hasChunk = false
  private var hasReader = false
  private var hasRead = false

  /** Whether other files could be read instead. */
  val othersWait: Boolean
    get() = isAnyWaiting() || stream.demanding.get() > 0 || budget.reads.availablePermits == 0

  /** Waits until the collector has room for a chunk. Takes nothing. */
  suspend fun awaitDemand() {
    stream.demanding.incrementAndGet()
    try {
      stream.chunks.acquire()
      stream.chunks.release()
    } finally {
      stream.demanding.decrementAndGet()
    }
  }

  /** Runs [block] with the right to read; null where there is no room any more. */
  suspend fun <T : Any> use(block: suspend () -> T): T? {
    try {
      if (!mayReadOn()) return null
      takeReader()
      return block()
    } finally {
      giveBack()
    }
  }

  /** What [call] returns; where that takes long, others read meanwhile. */
  suspend fun <T> patiently(call: suspend () -> T): T =
    coroutineScope {
      val answer = async { runCatching { call() } }
      if (withTimeoutOrNull(CHUNK_PATIENCE_MILLIS) { answer.join() } == null) {
        giveBackChunk()
        if (withTimeoutOrNull(PATIENCE_MILLIS) { answer.join() } == null) {
          giveBackReader()
          val isAside = budget.asides.tryAcquire()
          try {
            if (isAside) giveBackRead()
            answer.join()
          } finally {
            if (isAside) budget.asides.release()
          }
          // Both are always taken in the same order.
          giveBackRead()
          takeReader()
        }
      }
      answer.await().getOrThrow()
    }

  /** The same for a call of which it is to be expected. */
  suspend fun <T> aside(call: suspend () -> T): T {
    giveBack()
    val answer = budget.asides.withPermit { runCatching { call() } }
    takeReader()
    return answer.getOrThrow()
  }

  /** Whether a chunk may be read now; waits a moment for the collector. If not, the file is to be closed meanwhile. */
  suspend fun mayReadOn(): Boolean {
    if (!hasChunk) {
      // Noted within the time limit: it may run out between the two.
      withTimeoutOrNull(PATIENCE_MILLIS) {
        stream.chunks.acquire()
        hasChunk = true
      }
    }
    return hasChunk
  }

  /** Hands [piece] to the collector, and the place for it. A chunk needs one; what is small goes without where there is none. */
  fun send(piece: LogPiece) {
    check(hasChunk || piece !is LogPiece.Chunk) { "a chunk was read without a place for it" }
    deliver(piece, hasChunk)
    hasChunk = false
  }

  private suspend fun takeReader() {
    stream.readers.acquire()
    hasReader = true
    budget.reads.acquire()
    hasRead = true
  }

  private fun giveBack() {
    giveBackRead()
    giveBackReader()
    giveBackChunk()
  }

  private fun giveBackRead() {
    if (hasRead) budget.reads.release()
    hasRead = false
  }

  private fun giveBackReader() {
    if (hasReader) stream.readers.release()
    hasReader = false
  }

  private fun giveBackChunk() {
    if (hasChunk) stream.chunks.release()
    hasChunk = false
  }

  private companion object {
    /** Longer than a node that is well takes to answer, shorter than anybody notices. */
    const val PATIENCE_MILLIS = 200L

    /** There are few places for chunks, and to get one back takes no time where they are taken fast. */
    const val CHUNK_PATIENCE_MILLIS = 20L
  }
}

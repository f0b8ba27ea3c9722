package knit.am.log

import knit.am.bytes
import knit.am.core.ChangeSet
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineName
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull
import org.slf4j.LoggerFactory
import java.io.IOException
import java.io.OutputStream
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardCopyOption.REPLACE_EXISTING
import java.nio.file.StandardOpenOption.CREATE
import java.nio.file.StandardOpenOption.TRUNCATE_EXISTING
import java.nio.file.StandardOpenOption.WRITE
import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.atomic.AtomicLong

/**
 * What has changed, turn by turn, as lines of JSON beside the Application Master's own logs: for those who ask once it has gone.
 *
 * Each line is an object. A file begins with `{"history_id":"…"}`, whose numbers follow; then come events of the contract, and
 * `{"dropped_turns":3}` where so many were lost because the disk was slow.
 * What is too much is lost at the beginning, for the end tells how it came: once [maxBytes] are half full, what is in the file
 * goes to another one beside it, in the place of what was there, and the file begins anew with `{"dropped_until":…}`, the number
 * of the last turn that is lost, where any is. To hand a turn over costs nothing, also before anything is written; a disk that
 * cannot be written to is warned of once.
 *
 * @param directory the log directory of this process; null where YARN names none
 * @param maxBytes the most that both files have
 * @param warn is told, in a sentence, why nothing more is noted
 */
internal class EventLog(
  private val directory: Path?,
  private val fileName: String,
  private val maxBytes: Long,
  private val warn: (String) -> Unit = LoggerFactory.getLogger(EventLog::class.java)::warn,
) {
  private val turns = Channel<ChangeSet>(MAX_WAITING)
  private val waitingBytes = AtomicLong()
  private val dropped = AtomicInteger()

  private var writer: Job? = null

  /**
   * Begins to write what was noted, and then what is.
   *
   * @param historyId names the history that the turns are of
   * @param linesOf the lines for a turn, without their ends; none where nothing of it is told
   */
  fun begin(
    dispatcher: CoroutineDispatcher,
    historyId: () -> String,
    linesOf: (ChangeSet) -> Sequence<String>,
  ) {
    check(writer == null) { "$fileName is being written" }
    // In a scope of its own: a write to a disk that is stuck cannot be cancelled, and would keep the process from leaving.
    writer = CoroutineScope(dispatcher + CoroutineName(fileName)).launch { write(historyId, linesOf) }
  }

  fun note(turn: ChangeSet) {
    val bytes = turn.bytes
    val waiting = waitingBytes.addAndGet(bytes)
    // One may always wait, whatever it holds.
    if ((waiting > bytes && waiting > MAX_WAITING_BYTES) || turns.trySend(turn).isFailure) {
      waitingBytes.addAndGet(-bytes)
      dropped.incrementAndGet()
    }
  }

  /** Waits until everything is in the file, for a while. What is noted after it is lost. */
  suspend fun close() {
    turns.close()
    withTimeoutOrNull(CLOSE_MILLIS) { writer?.join() }
  }

  private suspend fun write(
    historyId: () -> String,
    linesOf: (ChangeSet) -> Sequence<String>,
  ) {
    try {
      val directory = directory ?: throw IOException("the environment names no LOG_DIRS")
      Story(directory, """{"history_id":"${historyId()}"}""").use { story ->
        for (turn in turns) {
          waitingBytes.addAndGet(-turn.bytes)
          story.tellDropped(turn.sequence)
          linesOf(turn).forEach { story.add(it, turn.sequence) }
        }
        story.tellDropped(Long.MAX_VALUE)
      }
    } catch (failure: IOException) {
      warn("What is read after the end will tell of no events, for $fileName cannot be written: $failure")
    } finally {
      turns.cancel()
    }
  }

  /** The file that is written and the one before it. */
  private inner class Story(
    private val directory: Path,
    private val firstLine: String,
  ) : AutoCloseable {
    private var left = 0L
    private var file = open()

    /** The last turns in each of them. */
    private var last = 0L
    private var lastBefore = 0L

    fun tellDropped(sequence: Long) {
      val turns = dropped.getAndSet(0)
      if (turns > 0) add("{\"dropped_turns\":$turns}", sequence)
    }

    fun add(
      line: String,
      sequence: Long,
    ) {
      val bytes = (line + "\n").toByteArray()
      if (bytes.size > left) beginAnew()
      write(file, bytes)
      last = sequence
    }

    /** One write for a line, whoever reads meanwhile. */
    private fun write(
      file: OutputStream,
      line: ByteArray,
    ) {
      file.write(line)
      left -= line.size
    }

    private fun beginAnew() {
      val lost = lastBefore
      lastBefore = last
      file.close()
      Files.move(directory.resolve(fileName), directory.resolve(beforeName(fileName)), REPLACE_EXISTING)
      file = open()
      if (lost > 0) add("{\"dropped_until\":$lost}", last)
    }

    private fun open(): OutputStream =
      Files.newOutputStream(directory.resolve(fileName), CREATE, WRITE, TRUNCATE_EXISTING).also { file ->
        left = maxBytes / 2
        write(file, "$firstLine\n".toByteArray())
      }

    override fun close() = file.close()
  }

  companion object {
    const val FILE_NAME = "events.jsonl"

    /** Some 100,000 events; it is collected with the logs and read by clients. */
    const val MAX_BYTES = 32L * 1024 * 1024

    /** Apart from the others, of which many that are written would leave nothing. */
    const val KEYS_FILE_NAME = "keys.jsonl"
    const val MAX_KEYS_BYTES = 8L * 1024 * 1024

    /** What comes before that which is in the file with this name. */
    fun beforeName(fileName: String) = "${fileName.removeSuffix(".jsonl")}.1.jsonl"

    /** Turns that may wait for the disk: what is lost at once with a large cluster's nodes, and then some. */
    private const val MAX_WAITING = 20_000

    /** What those may hold that nothing else does. */
    private const val MAX_WAITING_BYTES = 8L * 1024 * 1024
    private const val CLOSE_MILLIS = 5_000L
  }
}

package knit.am.log

import knit.am.AmException
import knit.am.core.Container
import knit.am.core.ExitReason
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.FlowCollector
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.withTimeoutOrNull
import java.io.IOException

/**
 * Sends one log file to one collector, once.
 *
 * A node gives out the last N bytes of a file, and says how long the file was at that moment. So the reader asks for as
 * many as it guesses there are after its offset: it passes over what it has sent already, and where the guess was too low
 * asks again for more, for a gap must never be sent.
 */
internal class FileReader(
  private val container: StateFlow<Container>,
  private val fileName: String,
  private val start: LogStart,
  private val follow: Boolean,
  private val opener: LiveLogSource.Opener,
  private val maxPollMillis: () -> Long,
) {
  /** The next byte to send; null until the place of the last lines is known. */
  private var offset: Long? = (start as? LogStart.Offset)?.bytes
  private var sentBytes = 0L

  /** How many bytes there may be after [offset]. */
  private var guessBytes = 0L
  private var pollMillis = MIN_POLL_MILLIS
  private var failures = 0

  /** How long the file was when [openAt] found it too short. */
  private var shrunkLength = 0L
  private var collector: FlowCollector<LogPiece>? = null

  suspend fun send(collector: FlowCollector<LogPiece>) {
    this.collector = collector
    if (follow) container.first { it.startTime != null || it.state.isFinal }
    while (true) {
      // Asked before the read: what a container wrote before its end is then there to be read.
      val before = container.value
      val end =
        try {
          pass(before)
        } catch (missing: LogMissingException) {
          endOfMissing(before, missing)
        } catch (failure: IOException) {
          endOfFailing(before, failure)
        }
      if (end != null) {
        collector.emit(end)
        return
      }
    }
  }

  /** Sends what there is; returns the end if this was it, else waits until there may be more. */
  private suspend fun pass(before: Container): LogPiece.End? {
    val from = offset ?: beginAt(tailOffset((start as LogStart.TailLines).count))
    val content = openAt(from)
    val length = content?.lengthBytes ?: shrunkLength
    if (length < from && before.state.isFinal) return endOfShrunk(from, length)
    val sent = content?.let { sendAll(it) } ?: 0
    failures = 0
    if (!follow || (before.state.isFinal && offset == length)) return LogPiece.End(offset ?: from, "")
    if (!before.state.isFinal) pause(sent)
    return null
  }

  private suspend fun beginAt(bytes: Long): Long {
    collector?.emit(LogPiece.Begin(bytes))
    offset = bytes
    return bytes
  }

  private suspend fun sendAll(content: LogContent): Long {
    val before = sentBytes
    try {
      while (true) {
        val data = opener.io { content.next(MAX_CHUNK_BYTES) } ?: break
        val at = offset ?: 0
        collector?.emit(LogPiece.Chunk(at, data))
        offset = at + data.size
        sentBytes += data.size
        failures = 0
      }
    } finally {
      // What was there and has not been sent, if the node cut the connection.
      guessBytes = content.lengthBytes - (offset ?: 0)
      opener.close(content)
    }
    return sentBytes - before
  }

  /** Opens the file at [from]; null if it is shorter than that. */
  private suspend fun openAt(from: Long): LogContent? {
    var slack = MIN_GUESS_BYTES
    while (true) {
      val content = opener.open(if (from == 0L) null else guessBytes.coerceAtLeast(MIN_GUESS_BYTES))
      val gap = content.startBytes - from
      if (content.lengthBytes < from) {
        shrunkLength = content.lengthBytes
        opener.close(content)
        return null
      }
      if (gap <= 0) {
        try {
          opener.io { content.skip(-gap) }
        } catch (failure: IOException) {
          opener.close(content)
          throw failure
        }
        return content
      }
      // It has grown by more than was guessed; while it is asked for again it may grow again.
      opener.close(content)
      slack = (slack * 4).coerceAtMost(MAX_SLACK_BYTES)
      guessBytes = content.lengthBytes - from + slack
    }
  }

  /** Waits for more to be written, a little longer each time that nothing was. */
  private suspend fun pause(sent: Long) {
    if (sent > 0) {
      pollMillis = MIN_POLL_MILLIS
      guessBytes = (sent * 2).coerceAtMost(MAX_SLACK_BYTES)
    } else {
      pollMillis = (pollMillis * 3 / 2).coerceAtMost(maxPollMillis())
      guessBytes /= 2
    }
    pauseOrEnd(pollMillis)
  }

  private suspend fun pauseOrEnd(millis: Long) {
    withTimeoutOrNull(millis) { container.first { it.state.isFinal } }
  }

  /** Where the last [count] lines begin. The file is read backwards until they are in what was read. */
  private suspend fun tailOffset(count: Long): Long {
    var window = TAIL_WINDOW_BYTES
    while (true) {
      val content = opener.open(if (count == 0L) 0 else window)
      val lines =
        try {
          opener.io { countLineBreaks(content) }
        } finally {
          opener.close(content)
        }
      guessBytes = content.lengthBytes - content.startBytes
      when {
        count == 0L -> return content.lengthBytes
        lines >= count -> return afterLineBreak(content.startBytes, lines - count + 1)
        content.startBytes == 0L -> return 0
      }
      window *= 4
    }
  }

  /** The offset after the [number]th line break from [from] on. */
  private suspend fun afterLineBreak(
    from: Long,
    number: Long,
  ): Long {
    val content = openAt(from) ?: throw IOException("the log has become shorter")
    try {
      return opener.io { from + skipLineBreaks(content, number) }
    } finally {
      opener.close(content)
    }
  }

  private suspend fun endOfMissing(
    before: Container,
    missing: LogMissingException,
  ): LogPiece.End? {
    val at = offset ?: 0
    if (!before.state.isFinal) {
      // It may yet be written, or the container is not that far.
      if (!follow) return LogPiece.End(at, "")
      // A file that comes to be from now on is sent whole.
      if (offset == null) beginAt(0)
      pollMillis = (pollMillis * 3 / 2).coerceAtMost(MAX_MISSING_POLL_MILLIS)
      pauseOrEnd(pollMillis)
      return null
    }
    val neverRan = before.startTime == null
    val neverWas = !missing.isForgotten && at == 0L
    if (neverRan || neverWas) return LogPiece.End(at, "")
    return LogPiece.End(at, "Node ${before.lease?.nodeId} has this log no more: ${missing.words()}.")
  }

  private suspend fun endOfFailing(
    before: Container,
    failure: IOException,
  ): LogPiece.End? {
    failures++
    val limit = if (before.exit?.reason == ExitReason.NODE_LOST) MAX_FAILURES_LOST else MAX_FAILURES
    if (failures > limit && (before.state.isFinal || !follow)) {
      return LogPiece.End(offset ?: 0, "Node ${before.lease?.nodeId} could not be read from: ${failure.words()}.")
    }
    val wait = (FAILURE_MILLIS shl (failures - 1).coerceAtMost(5))
    if (before.state.isFinal) delay(wait) else pauseOrEnd(wait)
    return null
  }

  private fun endOfShrunk(
    from: Long,
    length: Long,
  ): LogPiece.End {
    if (sentBytes == 0L) throw outOfRange(from, length)
    return LogPiece.End(from, "The container has shortened this file while it was read, to $length bytes.")
  }

  private fun outOfRange(
    from: Long,
    length: Long,
  ) = AmException.OutOfRange("$fileName of ${container.value.lease?.containerId} has ended with $length bytes; offset $from is past that.")

  private companion object {
    const val MIN_POLL_MILLIS = 50L
    const val MAX_MISSING_POLL_MILLIS = 250L
    const val MIN_GUESS_BYTES = 512L
    const val MAX_SLACK_BYTES = 1024L * 1024
    const val TAIL_WINDOW_BYTES = 64L * 1024
    const val FAILURE_MILLIS = 100L
    const val MAX_FAILURES = 6
    const val MAX_FAILURES_LOST = 2
  }
}

private const val LINE_BREAK = '\n'.code.toByte()

/** How many line breaks there are that another line may follow. */
private fun countLineBreaks(content: LogContent): Long {
  var count = 0L
  var last: Byte? = null
  while (true) {
    val data = content.next(MAX_CHUNK_BYTES) ?: break
    count += data.count { it == LINE_BREAK }
    last = data.last()
  }
  return if (last == LINE_BREAK) count - 1 else count
}

/** Passes over [number] line breaks; returns how many bytes that were. */
private fun skipLineBreaks(
  content: LogContent,
  number: Long,
): Long {
  var bytes = 0L
  var left = number
  while (true) {
    val data = content.next(MAX_CHUNK_BYTES) ?: return bytes
    for (byte in data) {
      bytes++
      if (byte == LINE_BREAK && --left == 0L) return bytes
    }
  }
}

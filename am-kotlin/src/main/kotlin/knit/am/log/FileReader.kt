package knit.am.log

import knit.am.core.AmException
import knit.am.core.Container
import knit.am.core.ExitReason
import knit.am.core.Reason
import knit.am.log.LogReader.Next
import java.io.IOException

/**
 * Sends one log file, once.
 *
 * A node gives out the last N bytes of a file, and says how long the file was at that moment. So the reader asks for as
 * many as it guesses there are after its offset: it passes over what it has sent already, and where the guess was too low
 * asks again for more, for a gap must never be sent.
 */
internal class FileReader(
  private val fileName: String,
  private val start: LogStart,
  private val follow: Boolean,
  private val opener: LiveLogSource.Opener,
) : LogReader {
  /** The next byte to send; null until the place of the last lines is known. */
  private var offset: Long? = (start as? LogStart.Offset)?.bytes

  /** Whether the file has been seen at least as long as [offset]: if it then is shorter, it was cut. */
  private var wasThere = false

  /** How many bytes there may be after [offset]. */
  private var guessBytes = 0L
  private var pollMillis = MIN_POLL_MILLIS

  /** How often in a row nothing was new. */
  private var quiet = 0
  private var isMissing = false

  /** Whether the file was taken away after it had been seen: what comes under its name is another one. */
  private var wasTaken = false
  private var failures = 0

  /** Whether the node has ever said that the container runs: then it also says when it does no more. Hadoop 2 does not. */
  private var nodeTells = false

  /** How often the container was still running on its node after its end had been reported. */
  private var late = 0

  override fun close() = opener.leave()

  override suspend fun read(
    container: Container,
    turn: ReadTurn,
  ): Next =
    opener.use(turn) {
      try {
        pass(container, turn)
      } catch (missing: LogMissingException) {
        whenMissing(container, missing, turn)
      } catch (failure: IOException) {
        whenFailing(container, failure, turn)
      }
    } ?: Next.Soon

  /** Sends what there is, or a part of it if that is much. */
  private suspend fun pass(
    before: Container,
    turn: ReadTurn,
  ): Next {
    val from = offset ?: begin(tailOffset((start as LogStart.TailLines).count, turn), turn)
    if (isMissing && !before.state.isFinal && opener.isListed(turn, maxMissingMillis) == false) return pauseMissing()
    if (quiet >= QUIET && !before.state.isFinal && opener.listedBytes(turn) == from) return pause(0)
    val opened = openAt(from, turn)
    if (wasTaken) {
      if (opened is Opened.At) opener.close(opened.content)
      return beginAnew(0, turn)
    }
    if (opened is Opened.Shorter) return whenShorter(before, from, opened.lengthBytes, turn)
    val content = (opened as Opened.At).content
    wasThere = true
    isMissing = false
    val isWhole = sendAll(content, turn)
    failures = 0
    if (!isWhole) return Next.Soon
    if (content.isRunning) nodeTells = true
    return when {
      !follow -> end("", turn)
      before.state.isFinal -> whenRead(before, content, turn)
      else -> pause((offset ?: from) - from)
    }
  }

  private fun begin(
    bytes: Long,
    turn: ReadTurn,
    isCut: Boolean = false,
  ): Long {
    turn.send(LogPiece.Begin(bytes, isCut))
    offset = bytes
    return bytes
  }

  private fun end(
    reason: String,
    turn: ReadTurn,
    mayBeCollected: Boolean = false,
  ): Next {
    turn.send(LogPiece.End(offset ?: 0, reason, mayBeCollected))
    return Next.Ended
  }

  /** Sends [content] to its end, if that is not far, and closes it; returns whether it was sent to its end. */
  private suspend fun sendAll(
    content: LogContent,
    turn: ReadTurn,
  ): Boolean {
    var chunks = 0
    try {
      while (chunks++ < MAX_CHUNKS_AT_A_TIME || !(turn.othersWait || opener.othersWait)) {
        if (!turn.mayReadOn()) return false
        val data = opener.io(turn) { content.next(MAX_CHUNK_BYTES) } ?: return true
        // The place may have been lent to others while the node was waited for; what was read is sent all the same.
        if (!turn.mayReadOn()) return false
        val at = offset ?: 0
        turn.send(LogPiece.Chunk(at, data))
        offset = at + data.size
      }
      return false
    } finally {
      // What was there and has not been sent, if the node cut the connection.
      guessBytes = content.lengthBytes - (offset ?: 0)
      opener.close(content)
    }
  }

  private sealed interface Opened {
    class At(
      val content: LogContent,
    ) : Opened

    class Shorter(
      val lengthBytes: Long,
    ) : Opened
  }

  /** Opens the file at [from], unless it is shorter than that. */
  private suspend fun openAt(
    from: Long,
    turn: ReadTurn,
  ): Opened {
    var slack = MIN_GUESS_BYTES
    while (true) {
      val isNew = from == 0L && !wasThere && !isMissing
      val content = opener.open(turn, if (isNew) null else guessBytes.coerceAtLeast(MIN_GUESS_BYTES))
      val gap = content.startBytes - from
      if (content.lengthBytes < from) {
        opener.close(content)
        return Opened.Shorter(content.lengthBytes)
      }
      if (gap <= 0) {
        try {
          opener.io(turn) { content.skip(-gap) }
        } catch (failure: IOException) {
          opener.close(content)
          throw failure
        }
        return Opened.At(content)
      }
      // It has grown by more than was guessed; while it is asked for again it may grow again.
      opener.close(content)
      slack = (slack * 4).coerceAtMost(MAX_SLACK_BYTES)
      guessBytes = content.lengthBytes - from + slack
    }
  }

  /** When to look again for more: a little later each time that there was nothing. */
  private fun pause(sent: Long): Next {
    if (sent > 0) {
      quiet = 0
      pollMillis = MIN_POLL_MILLIS
      guessBytes = (sent * 2).coerceAtMost(MAX_SLACK_BYTES)
    } else {
      quiet++
      pollMillis = (pollMillis * 3 / 2).coerceAtMost(opener.maxPollMillis)
      guessBytes /= 2
    }
    return Next.Later(pollMillis)
  }

  /** Where the last [count] lines begin. The file is read backwards until they are in what was read. */
  private suspend fun tailOffset(
    count: Long,
    turn: ReadTurn,
  ): Long {
    var window = TAIL_WINDOW_BYTES
    while (true) {
      val content = opener.open(turn, if (count == 0L) 0 else window)
      val pieces =
        try {
          opener.io(turn) { LinePieces().also { it.readAll(content) }.count }
        } finally {
          opener.close(content)
        }
      guessBytes = content.lengthBytes - content.startBytes
      wasThere = true
      when {
        count == 0L -> return content.lengthBytes

        // The first of them began before what was read.
        pieces > count -> return afterPieces(content.startBytes, pieces - count, turn)

        content.startBytes == 0L -> return 0
      }
      window *= 4
    }
  }

  /** The offset after [number] pieces from [from] on. */
  private suspend fun afterPieces(
    from: Long,
    number: Long,
    turn: ReadTurn,
  ): Long {
    val opened = openAt(from, turn)
    val content = (opened as? Opened.At)?.content ?: throw IOException("the log has become shorter")
    try {
      return opener.io(turn) { from + LinePieces().skip(content, number) }
    } finally {
      opener.close(content)
    }
  }

  /** The file ends before [from]. */
  private fun whenShorter(
    before: Container,
    from: Long,
    length: Long,
    turn: ReadTurn,
  ): Next {
    if (!wasThere && before.state.isFinal) throw outOfRange(before, from, length)
    if (!follow) return end("", turn)
    // Whoever asks for a position has had what was before it.
    return beginAnew(length, turn)
  }

  private fun beginAnew(
    length: Long,
    turn: ReadTurn,
  ): Next {
    begin(0, turn, isCut = true)
    guessBytes = length
    quiet = 0
    isMissing = false
    wasTaken = false
    return Next.Soon
  }

  /** All that the file had when it was looked at is sent, and the container was final before. */
  private fun whenRead(
    before: Container,
    content: LogContent,
    turn: ReadTurn,
  ): Next {
    val isLost = before.exit?.reason == ExitReason.NODE_LOST
    return when {
      // YARN may know of an end before the node does: of one that it has decided upon, or of a node that it has given up.
      content.isRunning && late++ < MAX_LATE -> {
        Next.Later(LATE_MILLIS)
      }

      isLost && (content.isRunning || !nodeTells) -> {
        end("Nobody saw this container end: YARN had given up node ${opener.nodeId}, where it may have written more than was read.", turn)
      }

      content.isRunning -> {
        end("Node ${opener.nodeId} still runs this container, whose end was reported: it may write more than was read.", turn)
      }

      else -> {
        end("", turn)
      }
    }
  }

  private suspend fun whenMissing(
    before: Container,
    missing: LogMissingException,
    turn: ReadTurn,
  ): Next {
    val at = offset ?: 0
    if (!before.state.isFinal) {
      // It may yet be written, or the container is not that far.
      if (!follow) return end("", turn)
      // A file that comes to be from now on is sent whole.
      if (offset == null) begin(0, turn)
      isMissing = true
      // A node that has been restarted may not know it yet, and shows the same file in a moment.
      if (wasThere && !missing.isForgotten) wasTaken = true
      return pauseMissing()
    }
    if (before.startTime == null) return end("", turn)
    val isKnown = !missing.isForgotten && before.exit?.reason != ExitReason.NODE_LOST
    val neverSeen = at == 0L && !wasThere
    if (isKnown && neverSeen && !lacksWhatWasWritten(turn)) return end("", turn)
    val reason =
      if (isKnown && neverSeen) {
        "Node ${opener.nodeId} has nothing of it: YARN has collected it, or the container ended before it wrote anything."
      } else {
        "Node ${opener.nodeId} has this log no more: ${missing.words()}."
      }
    return end(reason, turn, mayBeCollected = isKnown)
  }

  /**
   * Whether the node lacks files that the container has written: then this one, which is missing, may have been another.
   *
   * A node that collects while applications run takes all files of a container that has ended, and removes them.
   */
  private suspend fun lacksWhatWasWritten(turn: ReadTurn): Boolean {
    if (fileName in ALWAYS_WRITTEN) return true
    // One that does not tell what it has may have removed it.
    val names = opener.listedNames(turn) ?: return true
    return !names.containsAll(ALWAYS_WRITTEN)
  }

  private fun pauseMissing(): Next {
    pollMillis = (pollMillis * 2).coerceAtMost(maxMissingMillis)
    return Next.Later(pollMillis)
  }

  /** What every container writes comes as soon as it runs; any other file may never come. */
  private val maxMissingMillis: Long
    get() = if (fileName in ALWAYS_WRITTEN) opener.maxPollMillis else opener.maxPollMillis * 5

  private fun whenFailing(
    before: Container,
    failure: IOException,
    turn: ReadTurn,
  ): Next {
    failures++
    val limit = if (before.exit?.reason == ExitReason.NODE_LOST) MAX_FAILURES_LOST else MAX_FAILURES
    if (failures > limit && (before.state.isFinal || !follow)) {
      return end("Node ${opener.nodeId} could not be read from: ${failure.words()}.", turn)
    }
    return Next.Later(FAILURE_MILLIS shl (failures - 1).coerceAtMost(MAX_DOUBLINGS))
  }

  private fun outOfRange(
    container: Container,
    from: Long,
    length: Long,
  ) = AmException.OutOfRange(
    "$fileName of ${container.lease?.containerId} has ended with $length bytes; offset $from is past that.",
    Reason.OFFSET_PAST_END,
    mapOf("size_bytes" to "$length", "offset_bytes" to "$from"),
  )

  private companion object {
    const val MIN_POLL_MILLIS = 50L
    val ALWAYS_WRITTEN = setOf("stdout", "stderr")
    const val MIN_GUESS_BYTES = 512L
    const val MAX_SLACK_BYTES = 1024L * 1024
    const val TAIL_WINDOW_BYTES = 64L * 1024
    const val FAILURE_MILLIS = 100L
    const val MAX_DOUBLINGS = 5
    const val MAX_FAILURES = 6
    const val MAX_FAILURES_LOST = 2

    /** Then others may read, if they wait: 4 MiB, for to open the file again costs as much as to send some chunks. */
    const val MAX_CHUNKS_AT_A_TIME = 64

    /** After as many looks for nothing a list of all files is worth asking for. */
    const val QUIET = 2

    /** A node takes a moment to end what YARN has decided to end. */
    const val LATE_MILLIS = 250L
    const val MAX_LATE = 40
  }
}

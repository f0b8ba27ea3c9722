package knit.am.log

import knit.am.core.Container

/** A log file as it is now. */
data class LogFile(
  val name: String,
  val sizeBytes: Long,
)

/** A part of a log file, its beginning, or its end. */
sealed interface LogPiece {
  /** Where the first byte to be sent lies: the first piece, where a client could not know that; later, that the file was cut. */
  class Begin(
    val offsetBytes: Long,
    val isCut: Boolean = false,
  ) : LogPiece

  /** [data] is never empty, and never longer than [MAX_CHUNK_BYTES]. */
  class Chunk(
    val offsetBytes: Long,
    val data: ByteArray,
  ) : LogPiece

  class End(
    val offsetBytes: Long,
    /** Why the file may lack its last bytes; empty if every byte there was has been sent. */
    val incompleteReason: String,
    /** Whether the rest may be among what YARN has collected: the node has it no more. */
    val mayBeCollected: Boolean = false,
  ) : LogPiece
}

const val MAX_CHUNK_BYTES = 64 * 1024

/** Where in a file to begin. */
sealed interface LogStart {
  data class Offset(
    val bytes: Long,
  ) : LogStart

  data class TailLines(
    val count: Long,
  ) : LogStart
}

/** Where the logs of containers are. */
internal interface LogSource {
  /**
   * Returns the log files of a container, ordered by name.
   *
   * @throws knit.am.core.AmException.Unavailable where its node does not answer, or has its logs no more.
   * @throws knit.am.core.AmException.FailedPrecondition where nodes show logs only to who has a ticket.
   */
  suspend fun files(container: Container): List<LogFile>

  /**
   * A reader of a container's log file from [start] on.
   *
   * With [follow] it goes on until the container is in a final state, without it until where the file ended when it was read.
   */
  fun reader(
    container: Container,
    fileName: String,
    start: LogStart,
    follow: Boolean,
  ): LogReader

  /** How many files of this container's node are worth being read at a time. */
  fun readsAtOnce(container: Container): Int
}

/**
 * Reads one file bit by bit: a [LogPiece.Begin] for the last lines or after a cut, chunks in order, one [LogPiece.End].
 *
 * Between two calls of [read] it holds no connection, no thread and no buffer, so that there can be very many.
 */
internal interface LogReader {
  /**
   * Reads on for a while, and says when to call again. One call at a time.
   *
   * A node that is gone is not an error: it is the end's reason.
   *
   * @param container as it was before the call: what it wrote before its end is then there to be read
   * @throws knit.am.core.AmException.FailedPrecondition where nodes show logs only to who has a ticket.
   * @throws knit.am.core.AmException.OutOfRange where it was to start past the end of a file that grows no more.
   */
  suspend fun read(
    container: Container,
    turn: ReadTurn,
  ): Next

  /** Says that it will not be called again. */
  fun close()

  /** When to call again. */
  sealed interface Next {
    /** After all others that are waiting. */
    object Soon : Next

    /** After so long, or once the container changes. */
    data class Later(
      val millis: Long,
    ) : Next

    /** Never: its end is sent. */
    object Ended : Next
  }
}

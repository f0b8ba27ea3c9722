package knit.am.log

import knit.am.core.Container
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow

/** A log file as it is now. */
data class LogFile(
  val name: String,
  val sizeBytes: Long,
)

/** A part of a log file, its beginning, or its end. */
sealed interface LogPiece {
  /** Where the first byte to be sent lies: the first piece, where a client could not know that. */
  class Begin(
    val offsetBytes: Long,
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
interface LogSource {
  /**
   * Returns the log files of a container, ordered by name.
   *
   * @throws knit.am.AmException.Unavailable where its node does not answer, or has its logs no more.
   */
  suspend fun files(container: Container): List<LogFile>

  /**
   * A container's log file from [start] on: a [LogPiece.Begin] for the last lines, chunks in order, one [LogPiece.End].
   *
   * Cold: whoever collects slowly is sent to slowly, at no cost to anyone else. With [follow] it goes on until the
   * container is in a final state, without it until where the file ended when it was read. A node that is gone is not
   * an error: it is the end's reason.
   *
   * @throws knit.am.AmException.OutOfRange where [start] is past the end of a file that grows no more.
   */
  fun read(
    container: StateFlow<Container>,
    fileName: String,
    start: LogStart,
    follow: Boolean,
  ): Flow<LogPiece>
}

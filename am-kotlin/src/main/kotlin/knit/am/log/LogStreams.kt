package knit.am.log

import knit.am.ChangeFeed
import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Container
import knit.am.core.noSuchContainer
import knit.am.core.noSuchService
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch
import java.util.concurrent.TimeUnit

/** Whose log files are wanted, and from where on. */
data class LogQuery(
  /** Empty: of all that [serviceNames] allows. */
  val containerIds: Set<String>,
  /** Empty: of all. */
  val serviceNames: Set<String>,
  val fileNames: List<String>,
  val follow: Boolean,
  /** For files without a position; null for the whole. */
  val tailLines: Long?,
  /** By container and file name. */
  val positions: Map<Pair<String, String>, Long>,
)

/** A piece of one container's file. */
class LogItem(
  val container: Container,
  val fileName: String,
  val piece: LogPiece,
)

/**
 * The logs of many containers as one stream.
 *
 * @param nowMillis a clock that never goes back
 */
internal class LogStreams(
  private val applications: StateFlow<Application>,
  private val changes: ChangeFeed,
  private val source: LogSource,
  private val budget: ReadBudget = ReadBudget(),
  private val nowMillis: () -> Long = { TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) },
  /** Null where its own logs are nobody's to read. */
  private val master: MasterLog? = null,
) {
  /** Returns a container's log files. */
  suspend fun files(containerId: String): List<LogFile> {
    val application = applications.value
    val own = master?.takeIf { it.containerId == containerId }?.container(application.header, emptyList())
    val container = own ?: application.container(containerId) ?: throw noSuchContainer(containerId)
    return source.files(container)
  }

  /**
   * The files [query] names, interleaved; those of containers that are added later too, if it follows and names none.
   *
   * Cold, and read as it is collected: however many files there are, [StreamBudget.MAX_CHUNKS] chunks at most wait for the
   * collector, and one that takes nothing has nothing opened or read.
   */
  fun stream(query: LogQuery): Flow<LogItem> {
    refuseIfUnknown(query, applications.value, master)
    return flow {
      budget.stream {
        coroutineScope {
          // Bounded by the places for chunks: whoever has none reads nothing.
          val items = Channel<Pair<LogItem, Boolean>>(Channel.UNLIMITED)
          val mine = StreamBudget()
          launch {
            LogSchedule(
              query,
              applications,
              changes,
              source,
              budget,
              mine,
              nowMillis,
              master?.takeIf { it.containerId in query.containerIds },
            ) { item, hasChunk -> items.trySend(item to hasChunk) }.run()
            items.close()
          }
          for ((item, hasChunk) in items) {
            emit(item)
            if (hasChunk) mine.chunks.release()
          }
        }
      }
    }
  }
}

private fun refuseIfUnknown(
  query: LogQuery,
  application: Application,
  master: MasterLog?,
) {
  query.containerIds.firstOrNull { it != master?.containerId && application.container(it) == null }?.let { throw noSuchContainer(it) }
  query.serviceNames.firstOrNull { it !in application.services }?.let { throw application.noSuchService(it) }
  if (query.fileNames.size > MAX_FILE_NAMES) {
    throw AmException.InvalidArgument("${query.fileNames.size} file names are too many for one stream: it takes $MAX_FILE_NAMES.")
  }
  query.fileNames.firstOrNull { it.isEmpty() || '/' in it || it == ".." || it == "." }?.let {
    throw AmException.InvalidArgument("'$it' is not the name of a log file: it must be one name, without a slash.")
  }
  if (query.tailLines != null && query.tailLines < 0) {
    throw AmException.InvalidArgument("tail_lines is ${query.tailLines}; it must be 0 or more.")
  }
  query.positions.entries.firstOrNull { it.value < 0 }?.let {
    throw AmException.InvalidArgument("The offset ${it.value} for ${it.key.second} of ${it.key.first} is negative.")
  }
}

/** Of each container; a file that is not there is asked for as well. */
private const val MAX_FILE_NAMES = 32

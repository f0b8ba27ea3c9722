package knit.am.log

import knit.am.AmException
import knit.am.core.Application
import knit.am.core.Container
import knit.am.core.Phase
import kotlinx.coroutines.channels.ProducerScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.transformWhile
import kotlinx.coroutines.launch

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

/** The logs of many containers as one stream. */
class LogStreams(
  private val applications: StateFlow<Application>,
  private val source: LogSource,
) {
  /** Returns a container's log files. */
  suspend fun files(containerId: String): List<LogFile> {
    val container = applications.value.container(containerId) ?: throw unknownContainer(containerId)
    return source.files(container)
  }

  /**
   * The files [query] names, interleaved; those of containers that are added later too, if it follows and names none.
   *
   * Cold, and without a buffer: of each file one chunk at most waits for the collector.
   */
  fun stream(query: LogQuery): Flow<LogItem> {
    refuseIfUnknown(query, applications.value)
    return channelFlow { Stream(query, this).run() }.buffer(0)
  }

  private inner class Stream(
    private val query: LogQuery,
    private val scope: ProducerScope<LogItem>,
  ) {
    private val open = HashMap<String, MutableStateFlow<Container>>()
    private val seen = HashSet<String>()

    /** Whether this is the first look at the application: what started before it may be asked for its last lines only. */
    private var isFirst = true

    suspend fun run() {
      applications
        .transformWhile { application ->
          emit(application)
          goesOn(application)
        }.collect { application ->
          take(application)
          // Snapshots come one for each event, and each costs a look at every container.
          delay(LOOK_MILLIS)
        }
      // Readers of what has ended must know, and the last snapshot may have been passed over.
      take(applications.value)
    }

    private fun goesOn(application: Application): Boolean =
      when {
        !query.follow -> false
        application.phase == Phase.ENDED -> false
        query.containerIds.isEmpty() -> true
        else -> query.containerIds.any { id -> application.container(id)?.state?.isFinal == false }
      }

    private fun take(application: Application) {
      wanted(application).forEach { container ->
        val containerId = container.lease?.containerId
        if (containerId != null && seen.add(containerId)) begin(containerId, container)
      }
      open.entries.removeAll { (containerId, current) ->
        application.container(containerId)?.let { current.value = it }
        current.value.state.isFinal
      }
      isFirst = false
    }

    private fun wanted(application: Application): Sequence<Container> =
      if (query.containerIds.isNotEmpty()) {
        query.containerIds
          .asSequence()
          .mapNotNull { application.container(it) }
          .filter { query.serviceNames.isEmpty() || it.key.place.serviceName in query.serviceNames }
      } else {
        query.serviceNames
          .ifEmpty { application.services.keys }
          .asSequence()
          .flatMap { application.containersOf(it) }
      }

    private fun begin(
      containerId: String,
      container: Container,
    ) {
      val current = MutableStateFlow(container)
      open[containerId] = current
      val startsLater = !isFirst || container.startTime == null
      query.fileNames.forEach { fileName ->
        val position = query.positions[containerId to fileName]
        val start =
          when {
            position != null -> LogStart.Offset(position)
            query.tailLines != null && !startsLater -> LogStart.TailLines(query.tailLines)
            else -> LogStart.Offset(0)
          }
        scope.launch {
          // The last lines' place is told by who finds it.
          if (query.tailLines != null && position == null && startsLater) {
            scope.send(LogItem(current.value, fileName, LogPiece.Begin(0)))
          }
          source.read(current, fileName, start, query.follow).collect { scope.send(LogItem(current.value, fileName, it)) }
        }
      }
    }
  }

  private companion object {
    const val LOOK_MILLIS = 20L
  }
}

private fun unknownContainer(containerId: String) =
  AmException.NotFound("This application never held a container $containerId. List its containers to see those it has.")

private fun refuseIfUnknown(
  query: LogQuery,
  application: Application,
) {
  query.containerIds.firstOrNull { application.container(it) == null }?.let { throw unknownContainer(it) }
  query.serviceNames.firstOrNull { it !in application.services }?.let {
    throw AmException.NotFound("No service is called '$it'. The application has: ${application.services.keys.joinToString()}.")
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

package knit.am

import knit.am.core.Application
import knit.am.core.ChangeSet
import knit.am.core.KeyChanged
import knit.am.grpc.EventFilter
import knit.am.grpc.EventTeller
import knit.am.grpc.linesOf
import knit.am.log.EventLog
import kotlinx.coroutines.CoroutineDispatcher
import java.nio.file.Path

/**
 * Everything that changes, as lines of JSON in files beside the Application Master's logs: keys of the store in one, without
 * their values, and all else in the other. What is written often does not push out what is read first.
 *
 * @param directory the log directory of this process; null where YARN names none
 */
internal class EventLogs(
  directory: Path?,
  private val dispatcher: CoroutineDispatcher,
) {
  private val events = EventLog(directory, EventLog.FILE_NAME, EventLog.MAX_BYTES)
  private val keys = EventLog(directory, EventLog.KEYS_FILE_NAME, EventLog.MAX_KEYS_BYTES)

  fun note(turn: ChangeSet) {
    if (turn.changes.any { it !is KeyChanged }) events.note(turn)
    if (turn.changes.any { it is KeyChanged }) keys.note(turn)
  }

  /** Begins to write. The first line takes long to make, as long as the Application Master to start, so not while it does. */
  fun begin(application: () -> Application) {
    val all = EventTeller(EventFilter.ofAllButKeys(), application)
    val ofKeys = EventTeller(EventFilter.ofKeys(), application)
    val historyId = { application().header.historyId }
    events.begin(dispatcher, historyId) { all.linesOf(it) }
    keys.begin(dispatcher, historyId) { ofKeys.linesOf(it) }
  }

  /** Waits until everything is in the files, for a while. */
  suspend fun close() {
    events.close()
    keys.close()
  }
}

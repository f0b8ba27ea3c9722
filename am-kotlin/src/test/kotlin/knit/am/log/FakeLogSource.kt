package knit.am.log

import knit.am.core.Container
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow

/** Each file holds its own name and its container's; it is sent in one chunk, and ends with its container. */
class FakeLogSource : LogSource {
  val starts = mutableMapOf<Pair<String, String>, LogStart>()

  override suspend fun files(container: Container): List<LogFile> = listOf(LogFile("stderr", 0), LogFile("stdout", 12))

  override fun read(
    container: StateFlow<Container>,
    fileName: String,
    start: LogStart,
    follow: Boolean,
  ): Flow<LogPiece> =
    flow {
      val containerId =
        container.value.lease
          ?.containerId
          .orEmpty()
      starts[containerId to fileName] = start
      val data = "$fileName of $containerId".toByteArray()
      emit(LogPiece.Chunk(0, data))
      if (follow) container.first { it.state.isFinal }
      emit(LogPiece.End(data.size.toLong(), ""))
    }
}

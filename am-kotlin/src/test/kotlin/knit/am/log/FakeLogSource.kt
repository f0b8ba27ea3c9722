package knit.am.log

import knit.am.core.Container

/** Each file holds its own name and its container's; it is sent in one chunk, and ends with its container. */
internal class FakeLogSource : LogSource {
  val starts = mutableMapOf<Pair<String, String>, LogStart>()

  override suspend fun files(container: Container): List<LogFile> = listOf(LogFile("stderr", 0), LogFile("stdout", 12))

  override fun readsAtOnce(container: Container): Int = 4

  override fun reader(
    container: Container,
    fileName: String,
    start: LogStart,
    follow: Boolean,
  ): LogReader {
    val containerId = container.lease?.containerId.orEmpty()
    starts[containerId to fileName] = start
    return Reader("$fileName of $containerId".toByteArray(), follow)
  }

  private class Reader(
    private val data: ByteArray,
    private val follow: Boolean,
  ) : LogReader {
    private var isSent = false

    override suspend fun read(
      container: Container,
      turn: ReadTurn,
    ): LogReader.Next =
      turn.use {
        when {
          !isSent -> {
            turn.send(LogPiece.Chunk(0, data))
            isSent = true
            LogReader.Next.Soon
          }

          follow && !container.state.isFinal -> {
            LogReader.Next.Later(1_000)
          }

          else -> {
            turn.send(LogPiece.End(data.size.toLong(), ""))
            LogReader.Next.Ended
          }
        }
      } ?: LogReader.Next.Soon

    override fun close() = Unit
  }
}

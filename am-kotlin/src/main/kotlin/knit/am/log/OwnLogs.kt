package knit.am.log

import java.io.IOException
import java.nio.channels.Channels
import java.nio.file.Files
import java.nio.file.LinkOption
import java.nio.file.Path
import java.nio.file.StandardOpenOption

/**
 * This process's own log files from its own disk, the driver's among them, and those of all other containers from elsewhere.
 *
 * So they can be read where the nodes' web servers show nothing.
 *
 * @param containerId that of this process
 * @param directories where YARN keeps its log files, one on each disk
 */
internal class OwnLogs(
  private val containerId: String,
  private val directories: List<Path>,
  private val others: ContainerLogs,
) : ContainerLogs {
  override fun list(
    nodeHttpAddress: String,
    containerId: String,
    request: NodeRequest,
  ): List<LogFile> {
    if (!isOwn(containerId)) return others.list(nodeHttpAddress, containerId, request)
    return directories
      .flatMap { directory ->
        directory
          .toFile()
          .list()
          .orEmpty()
          .map { directory.resolve(it) }
      }.filter { isFile(it) }
      .map { LogFile(it.fileName.toString(), Files.size(it)) }
      .distinctBy { it.name }
      .sortedBy { it.name }
  }

  override fun open(
    nodeHttpAddress: String,
    containerId: String,
    fileName: String,
    lastBytes: Long?,
    request: NodeRequest,
  ): LogContent {
    if (!isOwn(containerId)) return others.open(nodeHttpAddress, containerId, fileName, lastBytes, request)
    val file =
      directories.map { it.resolve(fileName) }.firstOrNull { isFile(it) }
        ?: throw LogMissingException(isForgotten = false, "there is no such file")
    val channel = Files.newByteChannel(file, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS)
    try {
      val length = channel.size()
      val content = minOf(lastBytes ?: length, length)
      channel.position(length - content)
      return LogContent(Channels.newInputStream(channel).buffered(), channel::close, length, content, hasTrailer = false)
    } catch (failure: IOException) {
      channel.close()
      throw failure
    }
  }

  private fun isOwn(containerId: String) = containerId == this.containerId && directories.isNotEmpty()

  /** Of links nobody knows where they lead. */
  private fun isFile(file: Path) = Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
}

package knit.am.log

import knit.am.core.ContainerKey
import knit.am.core.Lease
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.withContext
import org.slf4j.LoggerFactory
import java.io.IOException
import java.io.OutputStream
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardOpenOption.APPEND
import java.nio.file.StandardOpenOption.CREATE

/**
 * Notes which container was which in a file beside the Application Master's own logs, for those who read the logs of
 * all containers once it has gone: YARN keeps that file with them, and itself knows nothing of services and ranks.
 *
 * A line is a JSON object, and is in the file when [note] returns. A file that cannot be written is warned of once, and
 * is no reason to launch nothing.
 *
 * @param directory the log directory of this process; null where YARN names none
 * @param dispatcher runs one call at a time
 * @param warn is told, in a sentence, why nothing more is noted
 */
internal class ContainerJournal(
  private val directory: Path?,
  private val dispatcher: CoroutineDispatcher,
  private val warn: (String) -> Unit = LoggerFactory.getLogger(ContainerJournal::class.java)::warn,
) {
  /** Only used on [dispatcher], as is [isBroken]. Open until the process ends. */
  private var file: OutputStream? = null
  private var isBroken = false

  /** Notes that [key] is about to be launched on [lease]. */
  suspend fun note(
    key: ContainerKey,
    lease: Lease,
  ) = withContext(dispatcher) {
    if (isBroken) return@withContext
    try {
      val open = file ?: open().also { file = it }
      // One write for a line, whoever reads meanwhile, and no buffer for it to wait in.
      open.write((lineOf(key, lease) + "\n").toByteArray())
    } catch (failure: IOException) {
      isBroken = true
      warn("Logs read after the end will tell no services and ranks, for $FILE_NAME cannot be written: $failure")
    }
  }

  private fun open(): OutputStream {
    if (directory == null) throw IOException("the environment names no LOG_DIRS")
    return Files.newOutputStream(directory.resolve(FILE_NAME), CREATE, APPEND)
  }

  companion object {
    const val FILE_NAME = "containers.jsonl"

    /** As a JSON object of one line. */
    fun lineOf(
      key: ContainerKey,
      lease: Lease,
    ): String =
      "{\"container_id\":${json(lease.containerId)},\"service\":${json(key.place.serviceName)},\"rank\":${key.place.rank}," +
        "\"attempt_number\":${key.attemptNumber},\"node_id\":${json(lease.nodeId)}}"

    private fun json(text: String): String =
      text.asIterable().joinToString("", "\"", "\"") {
        when {
          it == '"' || it == '\\' -> "\\$it"
          it < ' ' -> "\\u%04x".format(it.code)
          else -> it.toString()
        }
      }
  }
}

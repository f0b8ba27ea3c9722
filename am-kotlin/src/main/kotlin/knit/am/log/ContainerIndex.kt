package knit.am.log

import knit.am.core.Container
import knit.am.core.ContainerKey
import knit.am.core.Launch
import knit.am.core.Lease
import knit.am.core.Outcome
import knit.am.core.Resource
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineName
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull
import org.slf4j.LoggerFactory
import java.io.IOException
import java.io.OutputStream
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardOpenOption.APPEND
import java.nio.file.StandardOpenOption.CREATE
import java.time.Instant

/**
 * Which container was which, and how each ended: lines in a file beside the Application Master's own logs, for those who
 * ask once it has gone. YARN keeps that file with the logs, and itself knows nothing of services and ranks.
 *
 * A line is a JSON object. Of those with the same service, rank and attempt number the last one holds; those without
 * tell of the application. Every method hands over and returns: a disk that is slow holds nobody up, and one that cannot
 * be written to is warned of once and is no reason to launch nothing.
 *
 * @param directory the log directory of this process; null where YARN names none
 * @param maxBytes the most the file may hold; its last line then says that lines are missing
 * @param warn is told, in a sentence, why nothing more is noted
 */
internal class ContainerIndex(
  private val directory: Path?,
  dispatcher: CoroutineDispatcher,
  private val maxBytes: Long = MAX_BYTES,
  private val warn: (String) -> Unit = LoggerFactory.getLogger(ContainerIndex::class.java)::warn,
) {
  /** What is to be written, as functions, for a line is made only when it is its turn. */
  private val lines = Channel<() -> String>(MAX_WAITING)

  /** Set once a line found no place among those that wait. */
  @Volatile
  private var isTruncated = false

  /** In a scope of its own: a write to a disk that is stuck cannot be cancelled, and would keep the process from leaving. */
  private val writer = CoroutineScope(dispatcher + CoroutineName("container-index")).launch { write() }

  /** The attempt with this number has registered. */
  fun begun(
    attemptNumber: Int,
    startTime: Instant,
  ) = note { line("attempt" to attemptNumber, "start_time" to startTime) }

  /** A container is about to be launched. */
  fun launched(launch: Launch) = note { lineOf(launch) }

  /** [container] has ended. */
  fun ended(container: Container) = note { lineOf(container) }

  /** YARN has been told how the application ended. */
  fun ended(outcome: Outcome) =
    note { line("outcome" to outcome.finalStatus.name, "diagnostics" to outcome.diagnostics, "exit_code" to outcome.exitCode) }

  /** Waits until everything is in the file, for a while. Nothing may be noted after it. */
  suspend fun close() {
    lines.close()
    withTimeoutOrNull(CLOSE_MILLIS) { writer.join() }
  }

  private fun note(line: () -> String) {
    if (lines.trySend(line).isSuccess) return
    isTruncated = true
    lines.close()
  }

  private suspend fun write() {
    try {
      open().use { file ->
        var left = maxBytes
        for (next in lines) {
          val line = (next() + "\n").toByteArray()
          left -= line.size
          if (left < TRUNCATED.size) {
            file.write(TRUNCATED)
            return
          }
          // One write for a line, whoever reads meanwhile, and no buffer for it to wait in.
          file.write(line)
        }
        if (isTruncated) file.write(TRUNCATED)
      }
    } catch (failure: IOException) {
      warn("What is read after the end will tell no services, ranks and exits, for $FILE_NAME cannot be written: $failure")
    } finally {
      lines.cancel()
    }
  }

  private fun open(): OutputStream {
    if (directory == null) throw IOException("the environment names no LOG_DIRS")
    return Files.newOutputStream(directory.resolve(FILE_NAME), CREATE, APPEND)
  }

  companion object {
    const val FILE_NAME = "containers.jsonl"

    /** Some 100,000 containers with what they said at their end; it is collected with the logs and read by clients. */
    const val MAX_BYTES = 64L * 1024 * 1024

    /** Lines that may wait for the disk: what is lost at once with a large cluster's nodes, and then some. */
    private const val MAX_WAITING = 20_000
    private const val CLOSE_MILLIS = 5_000L
    private val TRUNCATED = "{\"truncated\":true}\n".toByteArray()

    /** Of a container that is about to be launched. */
    fun lineOf(launch: Launch): String = line(*identity(launch.key, launch.ordinal, launch.revision, launch.lease))

    /** Of a container that has ended. */
    fun lineOf(container: Container): String {
      val exit = checkNotNull(container.exit) { "${container.key} has not ended" }
      val resource: Resource = container.lease?.resource ?: container.resource
      return line(
        *identity(container.key, container.ordinal, container.revision, container.lease),
        "state" to container.state.name,
        "reason" to exit.reason.name,
        "exit_code" to exit.exitCode,
        "signal" to exit.signal,
        "diagnostics" to exit.diagnostics,
        "request_time" to container.requestTime,
        "start_time" to container.startTime,
        "ready_time" to container.readyTime,
        "finish_time" to exit.finishTime,
        "memory_mib" to resource.memoryMib,
        "vcores" to resource.vcores,
        *resource.others.map { (name, amount) -> "resource.$name" to amount }.toTypedArray(),
      )
    }

    private fun identity(
      key: ContainerKey,
      ordinal: Int,
      revision: Int,
      lease: Lease?,
    ) = arrayOf<Pair<String, Any?>>(
      "container_id" to lease?.containerId.orEmpty(),
      "service" to key.place.serviceName,
      "rank" to key.place.rank,
      "attempt_number" to key.attemptNumber,
      "ordinal" to ordinal,
      "revision" to revision,
      "node_id" to lease?.nodeId.orEmpty(),
    )

    private fun line(vararg fields: Pair<String, Any?>): String =
      fields.joinToString(",", "{", "}") { (name, value) ->
        json(name) + ":" + if (value == null || value is Number) value.toString() else json(value.toString())
      }

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

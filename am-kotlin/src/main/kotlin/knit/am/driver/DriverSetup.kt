package knit.am.driver

import knit.am.security.serialized
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.runInterruptible
import org.apache.hadoop.security.Credentials
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardCopyOption
import java.nio.file.StandardOpenOption
import java.nio.file.attribute.PosixFilePermissions

/**
 * The file of tokens of the driver: what it finds must be those, not the Application Master's. Blocks; any number of callers.
 *
 * @param credentials what it is given at present
 */
internal class DriverTokens(
  directory: Path,
  private val credentials: () -> Credentials,
) {
  val file: Path = directory.resolve(".driver_tokens")
  private var isWritten = false

  @Synchronized
  fun write() {
    val part = file.resolveSibling("${file.fileName}.part")
    Files.deleteIfExists(part)
    Files.createFile(part, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))
    val bytes = credentials().serialized()
    Files.newByteChannel(part, StandardOpenOption.WRITE).use { channel -> while (bytes.hasRemaining()) channel.write(bytes) }
    // In one step: the driver may be reading it.
    Files.move(part, file, StandardCopyOption.ATOMIC_MOVE)
    isWritten = true
  }

  /** Has a driver that runs find the new ones, whenever it looks again. Harmless where none has been started. */
  @Synchronized
  fun replace() {
    if (isWritten) write()
  }
}

/** Makes drivers that run in the Application Master's working directory, and write into [logDirectory]. */
internal fun driversIn(
  workingDirectory: Path,
  logDirectory: Path,
  tokens: DriverTokens,
  dispatcher: CoroutineDispatcher,
) = DriverFactory { scope, script ->
  val environment =
    mapOf(
      "HADOOP_TOKEN_FILE_LOCATION" to tokens.file.toString(),
      // What _launch_am.sh has set for Java.
      "CLASSPATH" to null,
      "MALLOC_ARENA_MAX" to null,
    )
  val written: suspend () -> String = {
    runInterruptible(dispatcher) { tokens.write() }
    script()
  }
  DriverProcess(scope, dispatcher, written, environment, workingDirectory, logDirectory)
}

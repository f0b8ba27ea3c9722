package knit.am.driver

import knit.am.security.serialized
import kotlinx.coroutines.CoroutineDispatcher
import org.apache.hadoop.security.Credentials
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardOpenOption
import java.nio.file.attribute.PosixFilePermissions

private const val TOKENS = ".driver_tokens"

/**
 * Makes drivers that run in the Application Master's working directory, and write into [logDirectory].
 *
 * @param credentials what it is given when it starts: a driver that looks for tokens must find those, not the Application Master's
 */
internal fun driversIn(
  workingDirectory: Path,
  logDirectory: Path,
  credentials: () -> Credentials,
  dispatcher: CoroutineDispatcher,
) = DriverFactory { scope, script ->
  val environment =
    mapOf(
      "HADOOP_TOKEN_FILE_LOCATION" to workingDirectory.resolve(TOKENS).toString(),
      // What _launch_am.sh has set for Java.
      "CLASSPATH" to null,
      "MALLOC_ARENA_MAX" to null,
    )
  val written: suspend () -> String = {
    writeForOwner(workingDirectory.resolve(TOKENS), credentials())
    script()
  }
  DriverProcess(scope, dispatcher, written, environment, workingDirectory, logDirectory)
}

private fun writeForOwner(
  file: Path,
  credentials: Credentials,
) {
  Files.deleteIfExists(file)
  Files.createFile(file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))
  val bytes = credentials.serialized()
  Files.newByteChannel(file, StandardOpenOption.WRITE).use { channel -> while (bytes.hasRemaining()) channel.write(bytes) }
}

package knit.am.driver

import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineName
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.launch
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull
import org.slf4j.LoggerFactory
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.file.Path
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds

/** How the driver ended. */
internal class DriverEnd(
  /** 0 to 255, 128 + N after signal N; null where it could not be started, or did not end when it was killed. */
  val exitCode: Int?,
  /** For people: why it has no exit code, or the end of what it wrote to its stderr. */
  val diagnostics: String,
)

/** Runs the driver: a program beside the Application Master, in its container. Each call returns at once. */
internal interface Driver {
  /** Once; [ended] is called once, whatever happens. */
  fun start(ended: (DriverEnd) -> Unit)

  /** SIGTERM, and SIGKILL for what is left after a moment. Harmless where nothing runs. */
  fun stop()
}

/** Makes the driver of an application. */
internal fun interface DriverFactory {
  /**
   * @param scope whose end is the driver's
   * @param script what a shell is to become the command by, once that is known
   */
  fun create(
    scope: CoroutineScope,
    script: suspend () -> String,
  ): Driver
}

/**
 * The driver as a process of bash, which keeps it in a process group of its own.
 *
 * What is left of the group goes when the command ends. When this process ends in whatever way, and be it by YARN's SIGKILL,
 * the pipe to the driver's guard closes, and the guard ends the group: a second attempt must not find the first one's driver
 * at work.
 *
 * @param scope whose end is the driver's
 * @param script what the shell is to become the command by; never seen in a list of processes, as values of variables are in it
 * @param environment that of the process; null values are taken away
 */
internal class DriverProcess(
  private val scope: CoroutineScope,
  private val dispatcher: CoroutineDispatcher,
  private val script: suspend () -> String,
  private val environment: Map<String, String?>,
  private val workingDirectory: Path,
  private val logDirectory: Path,
  private val grace: Duration = GRACE,
) : Driver {
  private val log = LoggerFactory.getLogger(DriverProcess::class.java)

  /** Guarded by this. */
  private var process: Process? = null
  private var isStopping = false

  override fun start(ended: (DriverEnd) -> Unit) {
    scope.launch(CoroutineName("driver")) { ended(run()) }
  }

  override fun stop() {
    val running =
      synchronized(this) {
        isStopping = true
        process
      } ?: return
    scope.launch(dispatcher + CoroutineName("driver-stop")) { running.closeInput() }
  }

  private suspend fun run(): DriverEnd {
    val started =
      try {
        val text = script()
        runInterruptible(dispatcher) { begin(text) }
      } catch (failure: IOException) {
        return DriverEnd(null, "It could not be started: ${failure.message}")
      } ?: return DriverEnd(null, "It was stopped before it began.")
    try {
      log.info("The driver has begun; it writes to {} and {}", STDOUT, STDERR)
      val exitCode = awaitEnd(started)
      return DriverEnd(exitCode, if (exitCode == null) "It did not end when it was killed." else lastWritten())
    } finally {
      withContext(NonCancellable) { started.closeInput() }
    }
  }

  /** Null where it is to stop already. */
  private fun begin(script: String): Process? {
    val builder =
      ProcessBuilder("/bin/bash", "-c", SUPERVISOR, "knit-driver", grace.inWholeSeconds.coerceAtLeast(1).toString())
        .directory(workingDirectory.toFile())
        .redirectOutput(logDirectory.resolve(STDOUT).toFile())
        .redirectError(logDirectory.resolve(STDERR).toFile())
    environment.forEach { (name, value) -> if (value == null) builder.environment() -= name else builder.environment()[name] = value }
    val begun =
      synchronized(this) {
        if (isStopping) return null
        builder.start().also { process = it }
      }
    try {
      begun.outputStream.write(script.toByteArray() + 0)
      begun.outputStream.flush()
    } catch (broken: IOException) {
      begun.destroyForcibly()
      throw broken
    }
    return begun
  }

  /** Once it is to stop it is waited for only as long as that can take. */
  private suspend fun awaitEnd(started: Process): Int? {
    while (!isToStop()) {
      withTimeoutOrNull(LOOK) { runInterruptible(dispatcher) { started.waitFor() } }?.let { return it }
    }
    return withTimeoutOrNull(grace + KILL_LIMIT) { runInterruptible(dispatcher) { started.waitFor() } }
      ?: null.also { started.destroyForcibly() }
  }

  private fun isToStop() = synchronized(this) { isStopping }

  private fun Process.closeInput() {
    try {
      outputStream.close()
    } catch (gone: IOException) {
      log.debug("The driver's guard has gone before: {}", gone.message)
    }
  }

  private suspend fun lastWritten(): String =
    runInterruptible(dispatcher) {
      try {
        RandomAccessFile(logDirectory.resolve(STDERR).toFile(), "r").use { file ->
          file.seek((file.length() - LAST_BYTES).coerceAtLeast(0))
          ByteArray((file.length() - file.filePointer).toInt()).also(file::readFully).toString(Charsets.UTF_8)
        }
      } catch (unreadable: IOException) {
        "Its $STDERR cannot be read: ${unreadable.message}"
      }
    }

  companion object {
    const val STDOUT = "driver.stdout"
    const val STDERR = "driver.stderr"

    /** Between SIGTERM and SIGKILL: the application's containers have less by default, but the Application Master is in no hurry. */
    val GRACE: Duration = 5.seconds

    /** How long the kernel may take to be rid of what was killed. */
    private val KILL_LIMIT = 10.seconds
    private val LOOK = 1.seconds
    private const val LAST_BYTES = 2_048L

    /**
     * Takes the script from its stdin, up to a NUL, and then waits for the end of that: nothing more is ever written.
     * `set -m` puts each of the two into a process group of its own, so that no signal for one is another's.
     */
    private val SUPERVISOR =
      """
      set -m
      exec 3<&0 4>&2 2>/dev/null </dev/null
      IFS= read -r -d '' -u 3 script || exit 125
      ( eval "${'$'}script" ) 2>&4 3<&- 4>&- &
      child=${'$'}!
      ( read -r -u 3 _; kill -TERM -- "-${'$'}child"; sleep "${'$'}1"; kill -KILL -- "-${'$'}child" ) >/dev/null 4>&- &
      guard=${'$'}!
      exec 3<&- 4>&-
      wait "${'$'}child"
      status=${'$'}?
      kill -KILL -- "-${'$'}child" "-${'$'}guard"
      exit "${'$'}status"
      """.trimIndent()
  }
}

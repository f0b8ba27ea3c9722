package knit.am.driver

import knit.am.yarn.LaunchSpec
import knit.am.yarn.script
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancel
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import kotlin.time.Duration.Companion.seconds

/** Real processes. */
class DriverProcessTest {
  @TempDir
  lateinit var directory: Path

  private val scope = CoroutineScope(Dispatchers.IO + Job())

  @AfterEach
  fun leave() = scope.cancel()

  private fun driver(
    command: String,
    environment: Map<String, String> = emptyMap(),
    inherited: Map<String, String?> = emptyMap(),
  ) = DriverProcess(
    scope,
    Dispatchers.IO,
    { LaunchSpec(command, environment, emptyMap()).script() },
    inherited,
    directory,
    directory,
    grace = 1.seconds,
  )

  private fun Driver.startNow(): CompletableDeferred<DriverEnd> =
    CompletableDeferred<DriverEnd>().also { end -> start { end.complete(it) } }

  private fun CompletableDeferred<DriverEnd>.get(): DriverEnd = runBlocking { withTimeout(60_000) { await() } }

  private fun written(name: String) = directory.resolve(name).toFile().readText()

  /** Waits until the driver has said so, and returns what it said. */
  private fun said(name: String = "said"): String =
    runBlocking {
      withTimeout(60_000) {
        val file = directory.resolve(name)
        while (!Files.exists(file) || !file.toFile().readText().endsWith("\n")) delay(20)
        file.toFile().readText().trim()
      }
    }

  private fun isAlive(pid: String) =
    ProcessBuilder("kill", "-0", pid).redirectErrorStream(true).start().run {
      waitFor(10, TimeUnit.SECONDS)
      exitValue() == 0
    }

  private fun awaitDeath(pid: String) =
    runBlocking {
      withTimeout(60_000) { while (isAlive(pid)) delay(50) }
    }

  @Test
  fun itsExitCodeIsItsEnd() {
    for (code in listOf(0, 3, 255)) assertEquals(code, driver("exit $code").startNow().get().exitCode)
    assertEquals(128 + 9, driver("kill -KILL \$\$").startNow().get().exitCode)
  }

  @Test
  fun whatItWritesIsInFilesOfItsOwnAndTheLastOfItIsTold() {
    val end = driver("echo out; echo why >&2; exit 1").startNow().get()
    assertEquals("out\n", written(DriverProcess.STDOUT))
    assertEquals("why\n", written(DriverProcess.STDERR))
    assertEquals("why\n", end.diagnostics)
  }

  @Test
  fun itHasItsVariablesAndNotThoseThatAreTakenAway() {
    val command = "printf '%s|' \"\$MINE\" \"\$GIVEN\" \"\${HOME#\$PWD/}\" \"\${PATH:+path}\"; cat"
    val end = driver(command, mapOf("MINE" to "it's \$x\n"), mapOf("GIVEN" to "1", "CLASSPATH" to null)).startNow().get()
    assertEquals("it's \$x\n|1|.home|path|", written(DriverProcess.STDOUT))
    assertEquals(0, end.exitCode, "its stdin is empty")
  }

  @Test
  fun valuesOfVariablesAreInNoListOfProcesses() {
    val driver = driver("ps -ww -eo args > args; echo done > said; sleep 60", mapOf("TOKEN" to "hunter2-" + "x".repeat(70_000)))
    val end = driver.startNow()
    said()
    assertFalse("hunter2" in written("args"))
    driver.stop()
    end.get()
  }

  @Test
  fun aStopIsSigtermAndThenSigkillForAllThatIsLeft() {
    val polite = driver("trap 'echo bye > said; exit 7' TERM; echo up > up; while :; do sleep 0.1; done")
    val end = polite.startNow()
    said("up")
    polite.stop()
    assertEquals(7, end.get().exitCode)
    assertEquals("bye", said())
    val deaf = driver("trap '' TERM; (trap '' TERM; echo \$BASHPID > grandchild; while :; do sleep 0.1; done) & echo x > up2; wait")
    val deafEnd = deaf.startNow()
    said("up2")
    val grandchild = said("grandchild")
    deaf.stop()
    assertEquals(128 + 9, deafEnd.get().exitCode)
    awaitDeath(grandchild)
  }

  @Test
  fun whatTheCommandLeavesBehindGoesWithIt() {
    val end = driver("(while :; do sleep 0.1; done) & echo \$! > said").startNow()
    assertEquals(0, end.get().exitCode)
    awaitDeath(said())
  }

  /** What YARN does to a container: nobody here can do anything any more. */
  @Test
  fun itsGuardEndsItWhenTheOtherEndOfThePipeIsGone() {
    val driver = driver("trap '' HUP; echo \$\$ > said; while :; do sleep 0.1; done")
    driver.startNow()
    val pid = said()
    assertTrue(isAlive(pid))
    scope.cancel()
    awaitDeath(pid)
  }

  @Test
  fun whatIsStoppedBeforeItBeganDoesNotBegin() {
    val driver = driver("echo x > said")
    driver.stop()
    assertEquals(null, driver.startNow().get().exitCode)
    assertFalse(Files.exists(directory.resolve("said")))
    driver.stop()
  }

  @Test
  fun whatCannotBeStartedHasEndedWithTheReason() {
    val nowhere = DriverProcess(scope, Dispatchers.IO, { "true" }, emptyMap(), directory.resolve("gone"), directory)
    val end = nowhere.startNow().get()
    assertEquals(null, end.exitCode)
    assertTrue("could not be started" in end.diagnostics, end.diagnostics)
  }
}

package knit.client

import knit.v1.ApplicationOutcome
import knit.v1.FinalStatus
import kotlinx.coroutines.test.StandardTestDispatcher
import kotlinx.coroutines.test.runTest
import org.apache.hadoop.yarn.api.records.FinalApplicationStatus
import org.apache.hadoop.yarn.api.records.YarnApplicationState
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.ByteArrayOutputStream
import java.io.PrintStream
import java.time.Duration

class WaitingTest {
  private val yarn = FakeYarn()
  private val said = ByteArrayOutputStream()
  private val heard = mutableListOf<String>()
  private var outcome: ApplicationOutcome? = null
  private var answers = true
  private var forgotten = 0

  private val accepted = FakeYarn.report(YarnApplicationState.ACCEPTED)
  private val running = FakeYarn.report(YarnApplicationState.RUNNING, address = "node" to 1234)
  private val succeeded = FakeYarn.report(YarnApplicationState.FINISHED, FinalApplicationStatus.SUCCEEDED, address = "node" to 1234)
  private val failed = FakeYarn.report(YarnApplicationState.FINISHED, FinalApplicationStatus.FAILED, "worker 0 failed", "node" to 1234)
  private val killed = FakeYarn.report(YarnApplicationState.KILLED, FinalApplicationStatus.KILLED, "killed by bob", "node" to 1234)

  private inner class Master(
    private val address: String,
  ) : MasterClient {
    override fun outcome(): ApplicationOutcome? {
      check(answers) { "nobody there" }
      return outcome
    }

    override fun shutdown(
      status: FinalStatus,
      diagnostics: String,
    ) {
      check(answers) { "nobody there" }
      heard += "$address $status"
    }

    override fun close() = Unit
  }

  private fun run(
    vararg reports: Yarn.Report?,
    limit: Duration? = null,
  ): Int {
    yarn.reports = reports.toList()
    var status = -1
    runTest {
      val waiting =
        Waiting(
          yarn,
          yarn.id,
          limit,
          Progress(PrintStream(said)),
          connect = { host, port -> Master("$host:$port") },
          forget = { forgotten++ },
          dispatcher = StandardTestDispatcher(testScheduler),
        )
      status = waiting.run()
    }
    return status
  }

  private fun outcomeOf(exitCode: Int) {
    outcome =
      ApplicationOutcome
        .newBuilder()
        .setExitCode(exitCode)
        .setDiagnostics("from the master")
        .build()
  }

  @Test
  fun aProgramThatSucceedsIsZeroAndItsMasterMayGo() {
    outcomeOf(0)
    assertEquals(0, run(accepted, accepted, running, running, succeeded))
    assertEquals(listOf("node:1234 FINAL_STATUS_UNSPECIFIED"), heard)
    val lines = said.toString().lines().filter { it.isNotEmpty() }
    assertEquals(
      listOf("accepted", "runs", "SUCCEEDED"),
      lines.map { line ->
        listOf("accepted", "runs", "SUCCEEDED").first { it in line }
      },
    )
    assertTrue(lines.all { it.startsWith("knit: ") })
  }

  @Test
  fun aProgramThatFailsGivesItsExitCode() {
    outcomeOf(42)
    assertEquals(42, run(running, failed))
    assertTrue("from the master" in said.toString())
  }

  @Test
  fun aMasterThatIsGoneLeavesOne() {
    answers = false
    assertEquals(1, run(running, failed))
    assertTrue("worker 0 failed" in said.toString())
    assertEquals(0, run(succeeded))
  }

  @Test
  fun anApplicationThatWasKilledIsOne() {
    assertEquals(1, run(running, killed))
    assertTrue("KILLED" in said.toString() && "killed by bob" in said.toString())
    assertEquals(emptyList<String>(), heard)
  }

  @Test
  fun neverZeroWithoutSuccess() {
    outcomeOf(0)
    assertEquals(1, run(failed))
  }

  @Test
  fun aTimeLimitStopsItInGoodOrder() {
    val stopped = FakeYarn.report(YarnApplicationState.FINISHED, FinalApplicationStatus.KILLED, address = "node" to 1234)
    assertEquals(124, run(*Array(12) { running }, stopped, limit = Duration.ofSeconds(5)))
    assertEquals(listOf("node:1234 FINAL_STATUS_KILLED", "node:1234 FINAL_STATUS_UNSPECIFIED"), heard)
    assertEquals(0, yarn.killed.size)
  }

  @Test
  fun aTimeLimitHasYarnKillWhatDoesNotListen() {
    answers = false
    assertEquals(124, run(running, limit = Duration.ofSeconds(5)))
    assertEquals(1 to 1, yarn.killed.size to forgotten)
    assertEquals(124, run(accepted, limit = Duration.ofSeconds(5)))
    assertEquals(2 to 2, yarn.killed.size to forgotten)
  }

  @Test
  fun aResourceManagerThatIsSilentForAWhileIsWaitedFor() {
    outcomeOf(0)
    assertEquals(0, run(running, null, null, null, running, null, succeeded))
    assertTrue("does not answer (no answer); trying on" in said.toString())
  }

  @Test
  fun aResourceManagerThatStaysSilentIsTold() {
    val gone = runCatching { run(running, null) }.exceptionOrNull()
    assertTrue(gone is RefusedException && "It may go on" in gone.message.orEmpty(), gone.toString())
  }
}

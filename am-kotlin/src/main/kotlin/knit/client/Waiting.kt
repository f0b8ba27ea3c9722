package knit.client

import knit.v1.ApplicationOutcome
import knit.v1.FinalStatus
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.delay
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withTimeoutOrNull
import org.apache.hadoop.yarn.api.records.ApplicationId
import org.apache.hadoop.yarn.api.records.YarnApplicationState
import java.time.Duration

/**
 * Sees an application through to its end.
 *
 * @param limit after so long it is stopped; null: never
 * @param connect gives a client of the Application Master that listens at a host and port
 * @param forget removes what is left of an application that YARN killed
 * @param dispatcher for calls that block
 */
internal class Waiting(
  private val yarn: Yarn,
  private val id: ApplicationId,
  private val limit: Duration?,
  private val progress: Progress,
  private val connect: (String, Int) -> MasterClient,
  private val forget: () -> Unit,
  private val dispatcher: CoroutineDispatcher,
) {
  private var lastState: YarnApplicationState? = null
  private var address: Pair<String, Int>? = null

  /** Returns the exit status: 0 after success, else the program's exit code where that is known, else 1; 124 after [limit]. */
  suspend fun run(): Int {
    val report = if (limit == null) end() else withTimeoutOrNull(limit.toMillis()) { end() }
    if (report == null) {
      stop()
      return EXIT_TIMED_OUT
    }
    val outcome = if (report.state == YarnApplicationState.FINISHED) outcome() else null
    val said = (outcome?.diagnostics ?: report.diagnostics).trim()
    progress.step("$id ended ${report.ending} (${progress.elapsed()})" + if (said.isEmpty() || report.succeeded) "" else ": $said")
    return if (report.succeeded) 0 else outcome?.exitCode?.takeIf { it != 0 } ?: EXIT_REFUSED
  }

  private val Yarn.Report.succeeded
    get() = ending == FinalStatus.FINAL_STATUS_SUCCEEDED.name.removePrefix("FINAL_STATUS_")

  /** Waits for the end, and says what happens on the way. */
  private suspend fun end(): Yarn.Report {
    while (true) {
      val report = report()
      report.address?.let { address = it }
      if (report.isFinal) return report
      if (report.state != lastState) {
        lastState = report.state
        tell(report.state)
      }
      delay(POLL_MILLIS)
    }
  }

  private fun tell(state: YarnApplicationState) {
    val sentence =
      when (state) {
        YarnApplicationState.ACCEPTED -> "$id is accepted and waits for its Application Master"
        YarnApplicationState.RUNNING -> "$id runs, its Application Master at ${address?.first ?: "a node"}"
        else -> return
      }
    progress.step("$sentence (${progress.elapsed()})")
  }

  /** Asks YARN, with patience: a ResourceManager that restarts says nothing for a while. */
  private suspend fun report(): Yarn.Report {
    repeat(MOST_SILENCES) { attempt ->
      try {
        return runInterruptible(dispatcher) { yarn.report(id) }
      } catch (
        @Suppress("TooGenericExceptionCaught") failure: Exception,
      ) {
        if (!isSilence(failure)) throw failed(failure)
        if (attempt == 0) progress.step("the ResourceManager at ${yarn.address} does not answer (${reasonOf(failure)}); trying on")
        if (attempt == MOST_SILENCES - 1) throw failed(failure)
      }
      delay(SILENCE_MILLIS)
    }
    error("unreachable")
  }

  private fun failed(failure: Exception) =
    if (failure is InterruptedException || failure is kotlinx.coroutines.CancellationException) {
      failure
    } else {
      RefusedException(
        "Asking the ResourceManager at ${yarn.address} how $id is: ${reasonOf(failure)}. It may go on: yarn application -status $id",
        failure,
      )
    }

  /** What only the Application Master knows, which then may leave; null if it has left, or cannot be reached from here. */
  private suspend fun outcome(): ApplicationOutcome? =
    attempt { master ->
      master.outcome().also { master.shutdown(FinalStatus.FINAL_STATUS_UNSPECIFIED, "") }
    }

  /** Has the Application Master end it in good order, and if it does not, YARN. */
  private suspend fun stop() {
    progress.step("the time limit is over; stopping $id")
    val asked =
      attempt { master ->
        master.shutdown(
          FinalStatus.FINAL_STATUS_KILLED,
          "The time limit of the client that waited for it, ${limit?.toMillis()} ms, was over.",
        )
        true
      }
    val ended = if (asked == true) withTimeoutOrNull(STOP_MILLIS) { end() } else null
    if (ended != null) {
      // It has reported; now it need not linger for us.
      attempt { it.shutdown(FinalStatus.FINAL_STATUS_UNSPECIFIED, "") }
    } else {
      runInterruptible(dispatcher) {
        asking({ "Killing $id" }, "Do it by hand: yarn application -kill $id") {
          yarn.kill(id)
          forget()
        }
      }
    }
    progress.step("$id ended ${ended?.ending ?: "KILLED"} (${progress.elapsed()})")
  }

  private suspend fun <T> attempt(call: (MasterClient) -> T): T? {
    val (host, port) = address ?: return null
    return runInterruptible(dispatcher) {
      try {
        connect(host, port).use(call)
      } catch (
        @Suppress("TooGenericExceptionCaught", "SwallowedException") silent: RuntimeException,
      ) {
        null
      }
    }
  }

  private companion object {
    const val POLL_MILLIS = 500L
    const val SILENCE_MILLIS = 2_000L
    const val MOST_SILENCES = 30
    const val STOP_MILLIS = 30_000L
  }
}

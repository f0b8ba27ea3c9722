package knit.am.core

import knit.am.core.ContainerState.FAILED
import knit.am.core.ContainerState.HELD
import knit.am.core.ContainerState.LAUNCHING
import knit.am.core.ContainerState.PENDING
import knit.am.core.ContainerState.REQUESTED
import knit.am.core.ContainerState.RUNNING
import knit.am.core.ContainerState.STOPPED
import knit.am.core.ContainerState.STOPPING
import knit.am.core.ContainerState.SUCCEEDED
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import java.time.Duration

class ContainerStateTest {
  @Test
  fun nextStatesAreThoseOfTheTable() {
    val table =
      mapOf(
        PENDING to setOf(REQUESTED, STOPPED),
        REQUESTED to setOf(HELD, LAUNCHING, STOPPED),
        HELD to setOf(LAUNCHING, REQUESTED, FAILED, STOPPED),
        LAUNCHING to setOf(RUNNING, STOPPING, SUCCEEDED, FAILED),
        RUNNING to setOf(STOPPING, SUCCEEDED, FAILED),
        STOPPING to setOf(STOPPED, FAILED),
        SUCCEEDED to emptySet(),
        FAILED to emptySet(),
        STOPPED to emptySet(),
      )
    assertEquals(table, ContainerState.values().associateWith { it.next })
  }

  @Test
  fun finalStatesHoldNoLease() {
    assertEquals(setOf(SUCCEEDED, FAILED, STOPPED), ContainerState.values().filter { it.isFinal }.toSet())
    assertEquals(setOf(HELD, LAUNCHING, RUNNING, STOPPING), ContainerState.values().filter { it.isLeased }.toSet())
  }

  /** Each input in each state: the state after it, then what is done about this container. A dot: the same state. */
  private val transitions =
    """
    state     | granted          | started | launch failed   | completed 0 | completed 2 | node lost       | stop          | end           | timed out
    PENDING   | . release        | .       | .               | .           | .           | .               | STOPPED       | STOPPED       | REQUESTED
    REQUESTED | LAUNCHING launch | .       | .               | .           | .           | .               | STOPPED       | STOPPED       | .
    LAUNCHING | .                | RUNNING | FAILED release  | SUCCEEDED   | FAILED      | FAILED release  | STOPPING stop | STOPPING stop | .
    RUNNING   | .                | .       | .               | SUCCEEDED   | FAILED      | FAILED release  | STOPPING stop | STOPPING stop | .
    STOPPING  | .                | . stop  | STOPPED release | STOPPED     | STOPPED     | STOPPED release | .             | .             | .
    SUCCEEDED | .                | .       | .               | .           | .           | .               | .             | .             | .
    FAILED    | .                | .       | .               | .           | .           | .               | .             | .             | .
    STOPPED   | .                | .       | .               | .           | .           | .               | .             | .             | .
    """.trimIndent().lines().map { line ->
      line.split('|').map {
        it.trim()
      }
    }

  private val inputs =
    mapOf(
      "granted" to granted(1),
      "started" to started(1),
      "launch failed" to LaunchFailed(id(1), "refused"),
      "completed 0" to completed(1, 0),
      "completed 2" to completed(1, 2),
      "node lost" to NodeLost("node1:8041"),
      "stop" to StopContainers(emptyList(), listOf(PlaceKey("worker", 0))),
      "end" to EndApplication(FinalStatus.KILLED, ""),
      "timed out" to Due,
    )

  @TestFactory
  fun everyInputInEveryState(): List<DynamicTest> {
    val names = transitions.first().drop(1)
    return transitions.drop(1).flatMap { row ->
      names.zip(row.drop(1)) { name, cell ->
        dynamicTest("${row.first()}, $name: $cell") { check(ContainerState.valueOf(row.first()), inputs.getValue(name), cell) }
      }
    }
  }

  private fun check(
    state: ContainerState,
    input: Input,
    expected: String,
  ) {
    val decision = applicationWith(state).decide(input, NOW.plusSeconds(1))
    val reached = decision.application.latest(PlaceKey("worker", 0))?.state
    val words = expected.replace(".", state.name).split(' ')
    assertEquals(words.first(), reached?.name)
    assertEquals(words.drop(1), decision.effects.mapNotNull { it.onFirst() })
  }

  private fun Effect.onFirst(): String? =
    when (this) {
      is Launch -> "launch".takeIf { lease.containerId == id(1) }
      is StopContainer -> "stop".takeIf { lease.containerId == id(1) }
      is Release -> "release".takeIf { containerId == id(1) }
      else -> null
    }

  /** Two workers, so that the end of the first is not that of the application. */
  private fun applicationWith(state: ContainerState): Application {
    val application = registered("worker" to service(instances = 2, failurePolicy = FailurePolicy.FINISH_OTHERS))
    val path: List<Input> =
      when (state) {
        PENDING -> return pending()
        REQUESTED -> emptyList()
        HELD -> error("needs others of its service")
        LAUNCHING -> listOf(granted(1))
        RUNNING -> listOf(granted(1), started(1))
        STOPPING -> listOf(granted(1), stopping(1))
        SUCCEEDED -> listOf(granted(1), completed(1, 0))
        FAILED -> listOf(granted(1), completed(1, 2))
        STOPPED -> listOf(granted(1), stopping(1), completed(1, 143))
      }
    return application.after(*path.toTypedArray())
  }

  /** It rests after a failure. */
  private fun pending(): Application {
    val spec = service(maxRestarts = 1, backOff = BackOff(first = Duration.ofMillis(1)))
    return registered("worker" to spec).after(granted(2), completed(2, 1))
  }
}

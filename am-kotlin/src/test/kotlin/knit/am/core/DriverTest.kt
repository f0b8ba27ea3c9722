package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class DriverTest {
  private fun start(vararg services: Pair<String, ServiceSpec>) =
    Application.start(
      "application_1_0001",
      1,
      HISTORY,
      mapOf(*services),
      NOW,
      problem = problemIn(mapOf(*services), true),
      hasDriver = true,
    )

  private fun started(vararg services: Pair<String, ServiceSpec>) = start(*services).after(Registered(MOST))

  private fun Application.effects(input: Input) = decide(input, NOW).effects

  @Test
  fun itBeginsOnceWithTheRegistration() {
    assertEquals(listOf<Effect>(StartDriver), start().effects(Registered(MOST)))
    assertEquals(DriverState.RUNNING, started().header.driver)
    assertEquals(emptyList<Effect>(), started().effects(Registered(MOST)))
  }

  @Test
  fun anApplicationWithoutServicesIsThereAsLongAsItsDriver() {
    val application = started()
    assertEquals(Phase.RUNNING, application.phase)
    val ended = application.after(DriverEnded(0, ""))
    assertEquals(
      Phase.REPORTING to Outcome(FinalStatus.SUCCEEDED, "The driver has ended with exit code 0.", 0),
      ended.phase to ended.outcome,
    )
    assertEquals(listOf<Effect>(Unregister(checkNotNull(ended.outcome))), application.effects(DriverEnded(0, "")))
  }

  @Test
  fun itsFailureIsTheApplicationsWithWhatItSaidLast() {
    val table =
      listOf(
        DriverEnded(3, "Traceback\nValueError: x\n") to (3 to "The driver failed: exit code 3. ValueError: x"),
        DriverEnded(137, "") to
          (
            137 to
              "The driver failed: ended by signal 9 (exit code 137), as the kernel does where memory has run out: " +
              "it has what the Application Master leaves of its container."
          ),
        DriverEnded(143, "") to
          (143 to "The driver failed: ended by signal 15 (exit code 143), as a node does with a container that is to end."),
        DriverEnded(139, "") to (139 to "The driver failed: ended by signal 11 (exit code 139)."),
        DriverEnded(null, "It could not be started: no bash") to
          (1 to "The driver failed: it has no exit code. It could not be started: no bash"),
      )
    for ((report, expected) in table) {
      val (code, sentence) = expected
      assertEquals(Outcome(FinalStatus.FAILED, sentence, code), started().after(report).outcome)
    }
  }

  @Test
  fun servicesThatAllEndDoNotEndIt() {
    val application = started("worker" to service()).after(granted(1), started(1), completed(1))
    assertEquals(Phase.RUNNING, application.phase)
    assertEquals(
      listOf<Effect>(Unregister(Outcome(FinalStatus.SUCCEEDED, "The driver has ended with exit code 0.", 0))),
      application.effects(DriverEnded(0, "")),
    )
  }

  @Test
  fun itsEndStopsTheServices() {
    val application = started("worker" to service()).after(granted(1), started(1))
    val ending = application.after(DriverEnded(0, ""))
    assertEquals(Phase.ENDING to ContainerState.STOPPING, ending.phase to ending.stateOf(1))
    assertEquals(Phase.REPORTING, ending.after(completed(1, 143)).phase)
  }

  @Test
  fun aServiceThatFailsDoesAsItsPolicySays() {
    val failed = { policy: FailurePolicy ->
      started("worker" to service(failurePolicy = policy)).after(granted(1), started(1), completed(1, 7))
    }
    val ended = failed(FailurePolicy.FAIL_APPLICATION)
    assertEquals(Phase.ENDING to DriverState.STOPPING, ended.phase to ended.header.driver)
    assertEquals(
      FinalStatus.FAILED to 7,
      ended.after(DriverEnded(143, "")).outcome?.let {
        it.finalStatus to it.exitCode
      },
      "the first outcome stands",
    )
    val goingOn = failed(FailurePolicy.FINISH_OTHERS)
    assertEquals(Phase.RUNNING, goingOn.phase)
    assertEquals(FinalStatus.FAILED to 7, goingOn.after(DriverEnded(0, "")).outcome?.let { it.finalStatus to it.exitCode })
    assertTrue(
      "First to fail: worker 0" in
        goingOn
          .after(DriverEnded(5, ""))
          .outcome
          ?.diagnostics
          .orEmpty(),
    )
    assertEquals(FinalStatus.SUCCEEDED, failed(FailurePolicy.IGNORE).after(DriverEnded(0, "")).outcome?.finalStatus)
  }

  @Test
  fun aClientsEndStopsItAndWaitsForIt() {
    val application = started()
    val end = EndApplication(FinalStatus.SUCCEEDED, "enough")
    assertEquals(listOf<Effect>(StopDriver), application.effects(end))
    val ending = application.after(end)
    assertEquals(Phase.ENDING, ending.phase)
    assertEquals(emptyList<Effect>(), ending.effects(end), "it is asked once")
    val ended = ending.after(DriverEnded(null, ""))
    assertEquals(Phase.REPORTING to "enough", ended.phase to ended.outcome?.diagnostics)
  }

  @Test
  fun whereTheApplicationCannotBeRunItIsNotBegun() {
    val tooLarge = start("worker" to service(resource = Resource(1_000_000, 1)))
    assertTrue(tooLarge.effects(Registered(MOST)).none { it is StartDriver })
    assertEquals(Phase.REPORTING to DriverState.ENDED, tooLarge.after(Registered(MOST)).let { it.phase to it.header.driver })
    assertNull(problemIn(emptyMap(), hasDriver = true))
    assertTrue("no service" in problemIn(emptyMap()).orEmpty())
  }

  @Test
  fun whatIsHeardTwiceOrTooEarlyChangesNothing() {
    val early = start()
    assertEquals(early.sequence, early.after(DriverEnded(0, "")).sequence)
    val ended = started().after(DriverEnded(0, ""))
    assertEquals(ended.sequence, ended.after(DriverEnded(1, "")).sequence)
  }

  @Test
  fun whatAClientHasDecidedIsFinalAndWhatHasFailedIsNot() {
    assertTrue(checkNotNull(started().after(EndApplication(FinalStatus.FAILED, "")).outcome).isFinal)
    assertEquals(false, started().after(DriverEnded(1, "")).outcome?.isFinal)
    val broken = Application.start("a", 1, HISTORY, emptyMap(), NOW, problem = "nonsense").after(Registered(MOST))
    assertTrue(checkNotNull(broken.outcome).isFinal, "every attempt would come to it")
  }
}

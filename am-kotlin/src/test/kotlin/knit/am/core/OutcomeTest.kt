package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class OutcomeTest {
  private val lenient = FailurePolicy.FINISH_OTHERS

  @Test
  fun allSucceeded() {
    val ended = registered("worker" to service(instances = 2)).after(granted(1), granted(2), completed(1), completed(2))
    assertEquals(Outcome(FinalStatus.SUCCEEDED, "Every container has ended: 2 succeeded.", 0), ended.outcome)
  }

  @Test
  fun aStopOrAFailureThatWasFollowedSpoilsNoSuccess() {
    val application = registered("worker" to service(instances = 2, maxRestarts = 1))
    val ended = application.after(granted(1), granted(2), completed(1, 1), granted(3), completed(3), stopping(2), completed(2, 143))
    val said = "Every container has ended: 1 succeeded, 1 stopped on request, 1 failed and were followed by another."
    assertEquals(Outcome(FinalStatus.SUCCEEDED, said, 0), ended.outcome)
  }

  @Test
  fun aFailureNamesContainerCauseNodeAndLastWords() {
    val diagnostics =
      """
      [2026-01-02 03:04:05.678]Exception from container-launch.
      Container id: container_1
      Exit code: 2
      [2026-01-02 03:04:05.678]Container exited with a non-zero exit code 2. Error file: prelaunch.err.
      Last 4096 bytes of prelaunch.err :
      Last 4096 bytes of stderr :
      Traceback (most recent call last):
      ValueError: no such table

      [2026-01-02 03:04:05.678]Container exited with a non-zero exit code 2. Error file: prelaunch.err.
      """.trimIndent()
    val ended = registered("worker" to service()).after(granted(1, node = 2), completed(1, 2, diagnostics))
    val sentence = "worker 0 failed: exit code 2 on node2:8041. ValueError: no such table"
    assertEquals(Outcome(FinalStatus.FAILED, sentence, 2), ended.outcome)
  }

  @Test
  fun aFailureWithoutAnExitCodeCountsAs1() {
    val ended =
      registered(
        "worker" to service(maxReplacements = 1),
      ).after(granted(1), NodeLost("node1:8041"), granted(2), completed(2, -102))
    assertEquals(Outcome(FinalStatus.FAILED, "worker 0 (attempt 2) failed: preempted by the scheduler on node1:8041.", 1), ended.outcome)
  }

  @Test
  fun theFirstToFailGivesTheExitCodeEvenIfAnotherEndsTheApplication() {
    val application = registered("a" to service(failurePolicy = lenient), "b" to service(resource = LARGE))
    val ended = application.after(granted(1), granted(2, resource = LARGE), completed(1, 7), completed(2, 137))
    val sentence =
      "b 0 failed: ended by signal 9 (exit code 137), as the kernel does where memory has run out on node1:8041. First to fail: a 0 failed: exit code 7 on node1:8041."
    assertEquals(Outcome(FinalStatus.FAILED, sentence, 7), ended.outcome)
  }

  @Test
  fun aClientDecidesHowItEnds() {
    val running = registered("worker" to service(instances = 2, failurePolicy = lenient)).after(granted(1), started(1))

    fun outcomeOf(request: EndApplication) = running.after(request).outcome
    assertEquals(
      Outcome(FinalStatus.KILLED, "Stopped by a client before its end.", 1, isFinal = true),
      outcomeOf(EndApplication(FinalStatus.KILLED, "")),
    )
    assertEquals(Outcome(FinalStatus.SUCCEEDED, "Done.", 0, isFinal = true), outcomeOf(EndApplication(FinalStatus.SUCCEEDED, "Done.")))
    assertEquals(Outcome(FinalStatus.FAILED, "Bad.", 1, isFinal = true), outcomeOf(EndApplication(FinalStatus.FAILED, "Bad.")))

    val failed = running.after(completed(1, 5), EndApplication(FinalStatus.FAILED, "Bad."))
    val both = "Bad. First to fail: worker 0 failed: exit code 5 on node1:8041."
    assertEquals(Outcome(FinalStatus.FAILED, both, 5, isFinal = true), failed.outcome)
  }

  @Test
  fun everyReasonMakesASentence() {
    for (status in listOf(0, 1, 300, 143, -1, -100, -101, -102, -103, -106, -107, -1_000)) {
      val sentence =
        registered("worker" to service())
          .after(granted(1), completed(1, status))
          .outcome
          ?.diagnostics
          .orEmpty()
      assertTrue(status == 0 || sentence.matches(Regex("worker 0 failed: .* on node1:8041\\..*")), sentence)
    }
  }

  @Test
  fun lastWordsAreCutAndMayBeMissing() {
    assertNull(lastWords(""))
    assertNull(lastWords("[2026-01-02 03:04:05.678]Container exited with a non-zero exit code 1.\n \n"))
    assertEquals("x".repeat(300) + "…", lastWords("x".repeat(400)))
  }

  /** As Hadoop 3.4.2 with the LinuxContainerExecutor says it of a program that exits with 5 and writes [stderr]. */
  private fun saidByLinuxContainerExecutor(stderr: String): String {
    val exit =
      """
      [2026-01-02 03:04:05.909]Container exited with a non-zero exit code 5. Error file: prelaunch.err.
      Last 4096 bytes of prelaunch.err :
      Last 4096 bytes of stderr :
      """.trimIndent() + "\n$stderr\n\n"
    return """
      [2026-01-02 03:04:05.863]Exception from container-launch.
      Container id: container_1_0001_01_000002
      Exit code: 5
      Exception message: Launch container failed
      Shell error output: Nonzero exit code=5, error message='Invalid NM root dirs'

      Shell output: main : command provided 1
      main : run as user is alice
      main : requested yarn user is alice
      Getting exit code file...
      Creating script paths...
      Writing pid file...
      Writing to tmp file /yarn/nmPrivate/application_1_0001/container_1_0001_01_000002/container_1_0001_01_000002.pid.tmp
      Writing to cgroup task files...
      Creating local dirs...
      Launching container...


      """.trimIndent() + exit + exit
  }

  @Test
  fun whatANodesExecutorSaysIsTakenForNoWordsOfTheProgram() {
    assertEquals("no such table", lastWords(saidByLinuxContainerExecutor("Traceback\nno such table")))
    assertEquals("Launching container...", lastWords(saidByLinuxContainerExecutor("Launching container...")))
    assertEquals("Container id: x", lastWords(saidByLinuxContainerExecutor("Exception from container-launch.\nContainer id: x")))
    assertNull(lastWords(saidByLinuxContainerExecutor("")))
    val byDefaultContainerExecutor =
      """
      [2026-01-02 03:04:05.678]Exception from container-launch.
      Container id: container_1
      Exit code: 2

      [2026-01-02 03:04:05.678]Container exited with a non-zero exit code 2.
      """.trimIndent()
    assertNull(lastWords(byDefaultContainerExecutor))
  }

  @Test
  fun anExecutorThatCouldNotLaunchSaysWhy() {
    val launched = saidByLinuxContainerExecutor("")
    val refused = launched.replace(Regex("Getting exit code file(?s:.*?)Launching container..."), "User alice not found")
    assertEquals("User alice not found", lastWords(refused))
  }

  @Test
  fun secretsAreNotInTheWordsForIt() {
    val secret = mapOf("TOKEN" to "hunter2")
    val added = registered("worker" to service(environment = secret)).after(adding("worker", 1, environment = secret))
    val words =
      listOf(
        added.services,
        added.asChanges().toList(),
        added.containers.toList(),
        added,
        adding("worker", 1, environment = secret),
        added.decide(granted(1), NOW).effects,
      )
    assertTrue(words.none { "hunter2" in it.toString() }, words.toString())
  }
}

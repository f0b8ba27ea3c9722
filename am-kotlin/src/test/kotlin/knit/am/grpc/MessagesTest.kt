package knit.am.grpc

import knit.am.Submission
import knit.am.core.ContainerState
import knit.am.core.FailurePolicy
import knit.am.core.RestartBudget
import knit.am.core.after
import knit.am.core.completed
import knit.am.core.granted
import knit.am.core.id
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.v1.ApplicationSpec
import knit.v1.StreamLogsRequest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Test
import knit.v1.ServiceSpec as ServiceSpecMessage

class MessagesTest {
  @Test
  fun whatIsNotSaidHasItsDefault() {
    val read =
      ApplicationSpec
        .newBuilder()
        .putServices("worker", ServiceSpecMessage.newBuilder().build())
        .build()
        .toDomain()
    assertEquals(Submission.DEFAULT_LINGER, read.linger)
    assertEquals(null, read.stagingUrl)
    assertEquals(RestartBudget.DEFAULTS, read.services.getValue("worker").restartBudgets)
    assertEquals(FailurePolicy.FAIL_APPLICATION, read.services.getValue("worker").failurePolicy)
    assertEquals(null, read.services.getValue("worker").pythonEnvironment)
  }

  @Test
  fun aContainerShowsWhatItHasAndNothingElse() {
    val application =
      registered(
        "worker" to service(instances = 2, failurePolicy = FailurePolicy.FINISH_OTHERS),
      ).after(granted(1), started(1), completed(1, 137))
    val (ended, waiting) = application.containersOf("worker").map { it.toMessage() }.toList()
    assertEquals(id(1), ended.containerId)
    assertEquals(137, ended.exit.exitCode)
    assertEquals(9, ended.exit.signal)
    assertEquals(ContainerState.FAILED.toMessage(), ended.state)
    assertEquals("", waiting.containerId)
    assertFalse(waiting.hasExit() || waiting.hasStartTime())
  }

  @Test
  fun everyStateHasItsOwnMessage() {
    assertEquals(
      ContainerState.values().size,
      ContainerState
        .values()
        .map { it.toMessage() }
        .toSet()
        .size,
    )
  }

  @Test
  fun logsAreOfStdoutAndStderrUnlessSaid() {
    assertEquals(listOf("stdout", "stderr"), StreamLogsRequest.getDefaultInstance().toDomain().fileNames)
    assertEquals(null, StreamLogsRequest.getDefaultInstance().toDomain().tailLines)
    assertEquals(
      0L,
      StreamLogsRequest
        .newBuilder()
        .setTailLines(0)
        .build()
        .toDomain()
        .tailLines,
    )
  }
}

package knit.am.grpc

import knit.am.AccessControl
import knit.am.AttemptPolicy
import knit.am.DriverSpec
import knit.am.LogLevel
import knit.am.Submission
import knit.am.Submitted
import knit.am.core.ContainerState
import knit.am.core.FailurePolicy
import knit.am.core.LocalResource
import knit.am.core.Placement
import knit.am.core.Resource
import knit.am.core.RestartBudget
import knit.am.core.ServiceSpec
import knit.am.core.Spread
import knit.am.core.after
import knit.am.core.budgets
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
import java.time.Duration
import knit.v1.ServiceSpec as ServiceSpecMessage

class MessagesTest {
  private val resource =
    LocalResource(
      "hdfs://nn/a%20b.zip",
      12,
      1_700_000_000_123,
      LocalResource.Type.ARCHIVE,
      LocalResource.Visibility.PUBLIC,
      listOf("a", "b"),
    )

  private val submission =
    Submission(
      name = "demo",
      services =
        mapOf(
          "worker" to
            ServiceSpec(
              command = "python w.py",
              instances = 3,
              resource = Resource(1024, 2, mapOf("yarn.io/gpu" to 2)),
              placement = Placement("x", setOf("n1"), setOf("/r"), true, Spread.EVENLY),
              environment = mapOf("TOKEN" to "secret"),
              localResources = mapOf("env" to resource),
              restartBudgets = budgets(maxRestarts = 1, maxReplacements = 0),
              failurePolicy = FailurePolicy.FINISH_OTHERS,
              pythonEnvironment = "env",
            ),
        ),
      linger = Duration.ofMillis(2_500),
      stagingUrl = "hdfs://nn/user/ann/.knit/applications/application_1_0001",
      userName = "ann",
      masterPorts = 40_000..40_010,
      driver = DriverSpec("python d.py", mapOf("TOKEN" to "secret"), "env"),
      attemptPolicy = AttemptPolicy.FAILURES,
      nodeLabel = "gpu",
      accessControl = AccessControl(listOf("ann"), listOf("a"), listOf("bob"), listOf("b")),
      logLevel = LogLevel.DEBUG,
      submitted =
        Submitted(
          "root.a",
          3,
          listOf("t"),
          "knit",
          2,
          Duration.ofHours(1),
          Duration.ofDays(1),
          Resource(512, 1, mapOf("yarn.io/gpu" to 1)),
          "gpu",
          setOf("JAVA_HOME"),
        ),
    )

  @Test
  fun aSubmissionSurvivesTheWireButForTheValuesOfVariables() {
    val blanked =
      submission.copy(
        services = submission.services.mapValues { it.value.copy(environment = mapOf("TOKEN" to "")) },
        driver = submission.driver?.copy(environment = mapOf("TOKEN" to "")),
      )
    assertEquals(blanked, submissionOf(submission.toMessage().toByteArray()))
    assertFalse("secret" in submission.toMessage().toString())
  }

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

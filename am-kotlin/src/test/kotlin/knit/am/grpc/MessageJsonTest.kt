package knit.am.grpc

import com.google.protobuf.ByteString
import com.google.protobuf.Duration
import com.google.protobuf.Timestamp
import knit.am.core.NOW
import knit.v1.ApplicationSpec
import knit.v1.Change
import knit.v1.Container
import knit.v1.ContainerExit
import knit.v1.ContainerState
import knit.v1.Event
import knit.v1.ExitReason
import knit.v1.KeyChange
import knit.v1.KeyValue
import knit.v1.Resource
import knit.v1.ServiceSpec
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class MessageJsonTest {
  @Test
  fun aMessageIsAnObjectWithTheNamesOfTheContract() {
    val exit =
      ContainerExit
        .newBuilder()
        .setReason(ExitReason.EXIT_REASON_EXITED)
        .setExitCode(0)
        .setDiagnostics("a \"b\" \\ \n ü \uD83D\uDE80")
    val container =
      Container
        .newBuilder()
        .setServiceName("worker")
        .setState(ContainerState.CONTAINER_STATE_SUCCEEDED)
        .setResource(Resource.newBuilder().setMemoryMib(5_000_000_000))
        .setExit(exit)
    val event =
      Event
        .newBuilder()
        .setSequence(7)
        .setTime(NOW.toMessage())
        .addChanges(Change.newBuilder().setContainer(container))
        .addChanges(
          Change.newBuilder().setKey(
            KeyChange.newBuilder().setKey(ByteString.copyFrom(byteArrayOf(-1, 0))).setCurrent(KeyValue.getDefaultInstance()),
          ),
        ).setIsContinued(true)
        .build()
    assertEquals(
      """{"sequence":7,"time":"$NOW","changes":[{"container":{"service_name":"worker","state":"CONTAINER_STATE_SUCCEEDED",""" +
        """"resource":{"memory_mib":5000000000},"exit":{"reason":"EXIT_REASON_EXITED","exit_code":0,""" +
        """"diagnostics":"a \"b\" \\ \u000a ü \ud83d\ude80"}}},{"key":{"key":"/wA=","current":{}}}],"is_continued":true}""",
      event.toJson(),
    )
  }

  @Test
  fun mapsLengthsOfTimeAndWhatIsNotSet() {
    val spec =
      ApplicationSpec
        .newBuilder()
        .putServices("a \"b\"", ServiceSpec.newBuilder().setInstances(2).build())
        .putAnnotations("x", ByteString.copyFromUtf8("y"))
        .setLinger(Duration.newBuilder().setSeconds(3).setNanos(500_000_000))
        .build()
    assertEquals("""{"services":{"a \"b\"":{"instances":2}},"linger":"3.500000000s","annotations":{"x":"eQ=="}}""", spec.toJson())
    assertEquals("{}", ApplicationSpec.getDefaultInstance().toJson())
    assertEquals(
      "\"1970-01-01T00:00:00Z\"",
      Event
        .newBuilder()
        .setTime(Timestamp.getDefaultInstance())
        .build()
        .toJson()
        .substringAfter(":")
        .dropLast(1),
    )
  }
}

package knit.am.grpc

import com.google.protobuf.ByteString
import com.google.protobuf.Duration
import com.google.protobuf.Timestamp
import com.google.protobuf.UnknownFieldSet
import knit.am.NamedFileSystem
import knit.am.core.AmException
import knit.am.core.Caller
import knit.am.core.EndApplication
import knit.am.core.FinalStatus
import knit.am.core.Role
import knit.v1.AddContainersRequest
import knit.v1.ApplicationSpec
import knit.v1.FileSystem
import knit.v1.ListContainersRequest
import knit.v1.LocalResource
import knit.v1.Place
import knit.v1.PortRange
import knit.v1.Resource
import knit.v1.ShutdownRequest
import knit.v1.StopContainersRequest
import knit.v1.UpdateApplicationRequest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import knit.v1.ServiceSpec as ServiceSpecMessage

class UnknownTest {
  private val newer: UnknownFieldSet =
    UnknownFieldSet
      .newBuilder()
      .addField(
        99,
        UnknownFieldSet.Field
          .newBuilder()
          .addLengthDelimited(ByteString.copyFromUtf8("new"))
          .build(),
      ).build()

  @Test
  fun whatIsNotUnderstoodInARequestIsRefusedWithItsPath() {
    val resource = Resource.newBuilder().setUnknownFields(newer).build()
    val place = Place.newBuilder().setUnknownFields(newer)
    val table =
      listOf<Pair<String, () -> Any>>(
        "final_status is 99" to {
          ShutdownRequest
            .newBuilder()
            .setFinalStatusValue(99)
            .build()
            .toDomain()
        },
        "request has a field with number 99" to {
          ShutdownRequest
            .newBuilder()
            .setUnknownFields(newer)
            .build()
            .toDomain()
        },
        "request has a field with number 99" to {
          AddContainersRequest
            .newBuilder()
            .setUnknownFields(newer)
            .build()
            .toDomain(Caller(Role.OWNER))
        },
        "request has a field with number 99" to {
          UpdateApplicationRequest
            .newBuilder()
            .setUnknownFields(newer)
            .build()
            .toDomain()
        },
        "resource has a field with number 99" to {
          AddContainersRequest
            .newBuilder()
            .setResource(resource)
            .build()
            .toDomain(Caller(Role.OWNER))
        },
        "request has a field with number 99" to {
          StopContainersRequest
            .newBuilder()
            .setUnknownFields(newer)
            .build()
            .toDomain(Caller(Role.OWNER))
        },
        "places has a field with number 99" to {
          StopContainersRequest
            .newBuilder()
            .addPlaces(place)
            .build()
            .toDomain(Caller(Role.OWNER))
        },
        "states is 42" to {
          ListContainersRequest
            .newBuilder()
            .addStatesValue(1)
            .addStatesValue(42)
            .build()
            .refuseIfUnknown()
        },
      )
    for ((words, call) in table) {
      val refusal = assertThrows<AmException.InvalidArgument> { call() }
      assertTrue(words in refusal.message.orEmpty(), "'$words' in '${refusal.message}'")
    }
    assertEquals(EndApplication(FinalStatus.KILLED, ""), ShutdownRequest.getDefaultInstance().toDomain())
  }

  @Test
  fun whatIsNotUnderstoodInASubmissionIsItsProblem() {
    val service = ServiceSpecMessage.newBuilder()
    val file = LocalResource.newBuilder()

    fun withFile(change: LocalResource.Builder.() -> Unit) = withService { putLocalResources("data", file.clone().apply(change).build()) }
    val table =
      listOf(
        "the specification has a field with number 99" to spec { unknownFields = newer },
        "linger is negative" to spec { linger = Duration.newBuilder().setSeconds(-1).build() },
        "linger is negative" to spec { linger = Duration.newBuilder().setNanos(-1).build() },
        "linger is no length of time" to
          spec {
            linger =
              Duration
                .newBuilder()
                .setSeconds(Long.MAX_VALUE)
                .setNanos(Int.MAX_VALUE)
                .build()
          },
        "master_ports is 0 to 0" to spec { masterPorts = PortRange.getDefaultInstance() },
        "master_ports is 9 to 8" to
          spec {
            masterPorts =
              PortRange
                .newBuilder()
                .setFirst(9)
                .setLast(8)
                .build()
          },
        "master_ports is 1 to 65536" to
          spec {
            masterPorts =
              PortRange
                .newBuilder()
                .setFirst(1)
                .setLast(65_536)
                .build()
          },
        "services.worker: failure_policy is 7" to withService { failurePolicyValue = 7 },
        "services.worker: the service has a field with number 99" to withService { unknownFields = newer },
        "driver.local_resources.data: type is 9" to
          spec { driverBuilder.putLocalResources("data", file.clone().setTypeValue(9).build()) },
        "file_systems names 65 file systems, of at most 64" to spec { repeat(65) { addFileSystems(fileSystem(it)) } },
        "file_systems has a field with number 99" to spec { addFileSystems(fileSystem(0).setUnknownFields(newer)) },
        "an annotation has an empty name" to spec { putAnnotations("", ByteString.EMPTY) },
        "services.worker: local_resources.data: type is 9" to withFile { typeValue = 9 },
        "services.worker: local_resources.data: visibility is 9" to withFile { visibilityValue = 9 },
        "local_resources.data: modify_time is no time" to
          withFile { modifyTime = Timestamp.newBuilder().setSeconds(Long.MAX_VALUE).build() },
        "local_resources.data: modify_time is no time" to withFile { modifyTime = Timestamp.newBuilder().setNanos(-1).build() },
      )
    for ((words, spec) in table) {
      val submission = spec.toDomain()
      assertTrue(words in submission.problem.orEmpty(), "'$words' in '${submission.problem}'")
      assertTrue(submission.services.isEmpty())
    }
    assertNull(spec { putServices("worker", service.build()) }.toDomain().problem)
    val most = spec { repeat(64) { addFileSystems(fileSystem(it)) } }.toDomain()
    assertNull(most.problem)
    assertEquals(64, most.fileSystems.size)
    assertEquals(NamedFileSystem("hdfs://ns1", isWithoutRenewer = true), most.fileSystems[1])
  }

  private fun fileSystem(number: Int) = FileSystem.newBuilder().setUrl("hdfs://ns$number").setWithoutRenewer(number % 2 == 1)

  private fun spec(change: ApplicationSpec.Builder.() -> Unit): ApplicationSpec = ApplicationSpec.newBuilder().apply(change).build()

  private fun withService(change: ServiceSpecMessage.Builder.() -> Unit) =
    spec {
      putServices("worker", ServiceSpecMessage.newBuilder().apply(change).build())
    }
}

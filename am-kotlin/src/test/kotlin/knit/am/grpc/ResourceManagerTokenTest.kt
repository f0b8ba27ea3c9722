package knit.am.grpc

import com.google.protobuf.CodedOutputStream
import com.google.protobuf.Message
import knit.am.core.AmException
import knit.am.core.Caller
import knit.am.core.NOW
import knit.am.core.Reason
import knit.am.core.Role
import knit.am.core.decide
import knit.am.core.registered
import knit.am.core.service
import knit.v1.AddServicesRequest
import knit.v1.ApplicationSpec
import knit.v1.Driver
import knit.v1.ServiceSpec
import knit.v1.UpdateServiceRequest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.io.ByteArrayOutputStream

/** Who asks for the ResourceManager's token is given it, and nobody else, whatever comes over the wire. */
class ResourceManagerTokenTest {
  private val caller = Caller(Role.OPERATOR)
  private val asking: ServiceSpec = ServiceSpec.newBuilder().setResourceManagerToken(true).build()

  /** A field as no client of ours would write it. */
  private fun bytes(write: CodedOutputStream.() -> Unit): ByteArray =
    ByteArrayOutputStream().also { CodedOutputStream.newInstance(it).apply(write).flush() }.toByteArray()

  private fun spec(change: ApplicationSpec.Builder.() -> Unit): ApplicationSpec = ApplicationSpec.newBuilder().apply(change).build()

  private fun Message.number() = descriptorForType.findFieldByName("resource_manager_token").number

  @Test
  fun aSubmissionSaysForEachServiceAndTheDriverAndItIsGivenBack() {
    val message =
      spec {
        putServices("asking", asking)
        putServices("other", ServiceSpec.getDefaultInstance())
        driver = Driver.newBuilder().setResourceManagerToken(true).build()
      }
    val submission = ApplicationSpec.parseFrom(message.toByteArray()).toDomain()
    assertNull(submission.problem)
    assertEquals(mapOf("asking" to true, "other" to false), submission.services.mapValues { it.value.resourceManagerToken })
    assertEquals(true, submission.driver?.resourceManagerToken)
    assertEquals(
      listOf(true, false),
      listOf("asking", "other").map {
        submission.services
          .getValue(it)
          .toMessage()
          .resourceManagerToken
      },
    )
    val told = SubmissionDocument(message).withoutValues
    assertTrue(told.driver.resourceManagerToken && told.getServicesOrThrow("asking").resourceManagerToken)
    assertFalse(told.getServicesOrThrow("other").resourceManagerToken)
    assertEquals(false, spec { driver = Driver.getDefaultInstance() }.toDomain().driver?.resourceManagerToken)
  }

  @Test
  fun servicesThatAreAddedOrUpdatedSayItToo() {
    val added =
      AddServicesRequest
        .newBuilder()
        .putServices(
          "new",
          service()
            .toMessage()
            .toBuilder()
            .setResourceManagerToken(true)
            .build(),
        ).build()
        .toDomain(caller)
    val application = registered("worker" to service()).decide(added, NOW).application
    assertTrue(application.spec("new").resourceManagerToken)
    assertTrue(application.serviceMessage("new").spec.resourceManagerToken)
    assertFalse(application.spec("worker").resourceManagerToken)

    val next =
      application
        .spec("worker")
        .toMessage()
        .toBuilder()
        .setResourceManagerToken(true)
    val request = UpdateServiceRequest.newBuilder().setServiceName("worker").setSpec(next)
    val updated = application.decide(request.build().toDomain(caller), NOW).application
    assertTrue(updated.spec("worker").resourceManagerToken)
  }

  @Test
  fun whatIsNoYesOrNoIsRefusedWithItsPath() {
    val texts = mapOf("service" to ServiceSpec.getDefaultInstance().number(), "driver" to Driver.getDefaultInstance().number())
    // As text, as eight bytes, and as a message.
    val hostile =
      listOf<CodedOutputStream.(Int) -> Unit>(
        { writeString(it, "true") },
        { writeFixed64(it, 1) },
        { writeMessage(it, ServiceSpec.getDefaultInstance()) },
      )
    for (write in hostile) {
      val service = ServiceSpec.parseFrom(bytes { write(texts.getValue("service")) })
      assertFalse(service.resourceManagerToken)
      val problem = spec { putServices("worker", service) }.toDomain().problem.orEmpty()
      assertTrue("services.worker: the service has a field with number ${texts["service"]}" in problem, problem)
      val driver = Driver.parseFrom(bytes { write(texts.getValue("driver")) })
      val ofDriver = spec { this.driver = driver }.toDomain()
      assertTrue("driver has a field with number ${texts["driver"]}" in ofDriver.problem.orEmpty(), ofDriver.problem)
      val request = AddServicesRequest.newBuilder().putServices("worker", service).build()
      assertEquals(Reason.UNKNOWN_FIELD, assertThrows<AmException> { request.toDomain(caller) }.reason)
    }
  }

  @Test
  fun anyOtherNumberIsAYesAndTheLastOneSaidCounts() {
    val number = ServiceSpec.getDefaultInstance().number()
    for (value in listOf(2L, Long.MAX_VALUE, -1L)) {
      assertTrue(ServiceSpec.parseFrom(bytes { writeUInt64(number, value) }).toDomain().resourceManagerToken, "$value")
    }
    val twice = ServiceSpec.parseFrom(bytes { writeBool(number, true).also { writeBool(number, false) } })
    assertFalse(twice.toDomain().resourceManagerToken)
  }
}

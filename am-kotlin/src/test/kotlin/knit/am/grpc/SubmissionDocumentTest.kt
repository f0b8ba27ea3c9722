package knit.am.grpc

import com.google.protobuf.ByteString
import com.google.protobuf.Descriptors.FieldDescriptor
import com.google.protobuf.Descriptors.FieldDescriptor.JavaType
import com.google.protobuf.Message
import knit.am.AccessControl
import knit.am.AttemptPolicy
import knit.am.DriverSpec
import knit.am.LogLevel
import knit.am.Submission
import knit.am.core.AmException
import knit.am.core.BackOff
import knit.am.core.Caller
import knit.am.core.ContainerRef
import knit.am.core.FailurePolicy
import knit.am.core.LocalResource
import knit.am.core.Placement
import knit.am.core.Readiness
import knit.am.core.Reason
import knit.am.core.Resource
import knit.am.core.Role
import knit.am.core.ServiceSpec
import knit.am.core.Spread
import knit.am.core.UpdatePolicy
import knit.am.core.budgets
import knit.am.core.kv.Bytes
import knit.v1.ApplicationSpec
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.time.Duration

/** A document as a submission with these services would have been, for tests that have our own types. */
internal fun documentOf(submission: Submission): SubmissionDocument {
  val services =
    submission.services.mapValues { (_, spec) ->
      spec
        .toMessage()
        .toBuilder()
        .putAllEnvironment(spec.environment)
        .build()
    }
  return SubmissionDocument(
    ApplicationSpec
      .newBuilder()
      .setName(submission.name)
      .putAllServices(services)
      .build(),
    submission,
  )
}

/** What was submitted comes back, and only who may sees what may be secret. */
class SubmissionDocumentTest {
  /** Every field there is has a value, whatever sense it makes: fields to come are here as soon as the contract has them. */
  private val everything = filled(ApplicationSpec.getDefaultInstance(), depth = 0) as ApplicationSpec
  private val document = SubmissionDocument(everything, Submission("", emptyMap(), Duration.ZERO, null, null))
  private val annotations = mapOf("note" to Bytes.of("of now"))

  private fun filled(
    prototype: Message,
    depth: Int,
  ): Message {
    val builder = prototype.newBuilderForType()
    // Of a oneof the last one stays.
    for (field in prototype.descriptorForType.fields) {
      if (depth == MOST_DEPTH) break
      if (field.isMapField) {
        val entry = builder.newBuilderForField(field)
        val (key, value) = entry.descriptorForType.fields
        entry.setField(key, valueOf(key, entry, depth)).setField(value, valueOf(value, entry, depth))
        builder.addRepeatedField(field, entry.build())
      } else if (field.isRepeated) {
        builder.addRepeatedField(field, valueOf(field, builder, depth))
      } else {
        builder.setField(field, valueOf(field, builder, depth))
      }
    }
    return builder.build()
  }

  private fun valueOf(
    field: FieldDescriptor,
    of: Message.Builder,
    depth: Int,
  ): Any =
    when (checkNotNull(field.javaType)) {
      JavaType.INT -> 1
      JavaType.LONG -> 1L
      JavaType.FLOAT -> 1f
      JavaType.DOUBLE -> 1.0
      JavaType.BOOLEAN -> true
      JavaType.STRING -> if (field.name == "key") "worker" else "value"
      JavaType.BYTE_STRING -> ByteString.copyFromUtf8("value")
      JavaType.ENUM -> field.enumType.values.last()
      JavaType.MESSAGE -> filled(of.newBuilderForField(field).defaultInstanceForType, depth + 1)
    }

  private fun ApplicationSpec.withAnnotations(values: Map<String, String>) =
    toBuilder().clearAnnotations().putAllAnnotations(values.mapValues { ByteString.copyFromUtf8(it.value) }).build()

  @Test
  fun anOwnerIsGivenAllThatWasSubmitted() {
    assertEquals("value", everything.driver.environmentMap["worker"])
    val told = document.withValues(Caller(Role.OWNER), annotations)
    assertEquals(everything.withAnnotations(mapOf("note" to "of now")), told)
    assertEquals(0, document.withValues(Caller(Role.OWNER), emptyMap()).annotationsCount, "those of the submission may be gone")
  }

  @Test
  fun withoutValuesAllButTheseIsThere() {
    val blank = mapOf("worker" to "")
    val expected = everything.toBuilder().clearAnnotations()
    expected.driverBuilder.putAllEnvironment(blank)
    expected.submissionBuilder.putAllMasterEnvironment(blank)
    expected.putServices(
      "worker",
      everything
        .getServicesOrThrow("worker")
        .toBuilder()
        .putAllEnvironment(blank)
        .build(),
    )
    assertEquals(expected.build(), document.withoutValues)
  }

  @Test
  fun aContainerSeesTheVariablesOfItsOwnServiceAndTheAnnotations() {
    val own = document.withValues(Caller(Role.CONTAINER, ContainerRef("worker", 0)), annotations)
    assertEquals(everything.servicesMap, own.servicesMap)
    assertEquals(mapOf("worker" to ""), own.driver.environmentMap)
    assertEquals(mapOf("worker" to ""), own.submission.masterEnvironmentMap)
    assertEquals(mapOf("note" to "of now"), own.annotationsMap.mapValues { it.value.toStringUtf8() })
    val other = document.withValues(Caller(Role.CONTAINER, ContainerRef("added later", 0)), annotations)
    assertEquals(document.withoutValues, other.toBuilder().clearAnnotations().build())
    assertEquals(own, document.withValues(Caller(Role.OPERATOR, ContainerRef("worker", 0)), annotations))
    assertEquals(everything.driver, document.withValues(Caller(Role.OWNER, ContainerRef("other", 0)), annotations).driver)
  }

  @Test
  fun othersAreRefused() {
    for (role in listOf(Role.OPERATOR, Role.VIEWER)) {
      val refusal = assertThrows<AmException.PermissionDenied> { document.withValues(Caller(role), annotations) }
      assertEquals(Reason.PERMISSION_DENIED, refusal.reason)
      assertEquals(role.name.lowercase(), refusal.facts["role"])
    }
  }

  @Test
  fun ofWhatIsNotUnderstoodTheNameIsTold() {
    val document = SubmissionDocument(everything.toBuilder().setLogLevelValue(99).build())
    assertTrue("log_level is 99" in document.submission.problem.orEmpty(), document.submission.problem)
    assertEquals(ApplicationSpec.newBuilder().setName("value").build(), document.withoutValues)
    assertEquals(document.withoutValues, document.withValues(Caller(Role.OWNER), emptyMap()))
    val broken = SubmissionDocument.of(byteArrayOf(10, 100, 1))
    assertTrue("cannot be read" in broken.submission.problem.orEmpty(), broken.submission.problem)
    assertEquals(ApplicationSpec.getDefaultInstance(), broken.withoutValues)
  }

  @Test
  fun annotationsBeyondTheLimitAreAProblem() {
    val spec = ApplicationSpec.newBuilder().setName("demo").putAnnotations("n", ByteString.copyFrom(ByteArray(65_535)))
    assertEquals(
      65_535,
      spec
        .build()
        .toDomain()
        .annotations
        .getValue("n")
        .size,
    )
    val more = spec.putAnnotations("m", ByteString.EMPTY).build().toDomain()
    assertTrue("the annotations have 65537 bytes" in more.problem.orEmpty(), more.problem)
    assertTrue(more.annotations.isEmpty())
  }

  @Test
  fun whatItMeansIsReadFromIt() {
    val spec =
      ServiceSpec(
        command = "python w.py",
        instances = 3,
        resource = Resource(1024, 2, mapOf("yarn.io/gpu" to 2)),
        placement = Placement("x", setOf("n1"), setOf("/r"), true, Spread.EVENLY),
        environment = mapOf("TOKEN" to "secret"),
        localResources =
          mapOf(
            "env" to
              LocalResource(
                "hdfs://nn/a%20b.zip",
                12,
                1_700_000_000_123,
                LocalResource.Type.ARCHIVE,
                LocalResource.Visibility.PUBLIC,
                listOf("a", "b"),
              ),
          ),
        restartBudgets = budgets(maxRestarts = 1, maxReplacements = 0),
        failurePolicy = FailurePolicy.FINISH_OTHERS,
        pythonEnvironment = "env",
        backOff = BackOff(first = Duration.ZERO),
        readiness = Readiness(isReported = true),
        updatePolicy = UpdatePolicy(maxSurge = 2),
      )
    val message =
      ApplicationSpec
        .newBuilder()
        .setName("demo")
        .putServices(
          "worker",
          spec
            .toMessage()
            .toBuilder()
            .putAllEnvironment(spec.environment)
            .build(),
        )
    message.lingerBuilder.setSeconds(2).nanos = 500_000_000
    message.setStagingUrl("hdfs://nn/s").setUserName("ann").setNodeLabel("gpu")
    message.masterPortsBuilder.setFirst(40_000).last = 40_010
    message.driverBuilder
      .setCommand("python d.py")
      .setPythonEnvironment("env")
      .putEnvironment("TOKEN", "secret")
    message.attemptPolicy = knit.v1.AttemptPolicy.ATTEMPT_POLICY_FAILURES
    message.logLevel = knit.v1.LogLevel.LOG_LEVEL_DEBUG
    message.accessControlBuilder
      .addViewUsers("ann")
      .addViewGroups("a")
      .addModifyUsers("bob")
      .addModifyGroups("b")
    message.putAnnotations("note", ByteString.copyFromUtf8("x"))
    val expected =
      Submission(
        name = "demo",
        services = mapOf("worker" to spec),
        linger = Duration.ofMillis(2_500),
        stagingUrl = "hdfs://nn/s",
        userName = "ann",
        masterPorts = 40_000..40_010,
        driver = DriverSpec("python d.py", mapOf("TOKEN" to "secret"), "env"),
        attemptPolicy = AttemptPolicy.FAILURES,
        nodeLabel = "gpu",
        accessControl = AccessControl(listOf("ann"), listOf("a"), listOf("bob"), listOf("b")),
        logLevel = LogLevel.DEBUG,
        annotations = mapOf("note" to Bytes.of("x")),
      )
    assertEquals(expected, SubmissionDocument.of(message.build().toByteArray()).submission)
    assertFalse("secret" in spec.toMessage().toString())
  }

  @Test
  fun whatAServiceDoesNotSayIsNotSaidOfItEither() {
    val plain = ServiceSpec("true", 1, Resource(256, 1)).toMessage()
    assertFalse(plain.hasBackOff() || plain.hasReadiness() || plain.hasUpdatePolicy() || plain.hasPlacement(), "$plain")
  }

  private companion object {
    /** Deeper messages are left empty. */
    const val MOST_DEPTH = 6
  }
}

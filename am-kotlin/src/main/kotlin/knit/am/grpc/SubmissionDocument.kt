package knit.am.grpc

import com.google.protobuf.InvalidProtocolBufferException
import knit.am.Submission
import knit.am.core.AmException
import knit.am.core.Caller
import knit.am.core.Role
import knit.am.core.kv.Bytes
import knit.am.security.word
import knit.v1.ApplicationSpec
import knit.v1.Driver
import knit.v1.ServiceSpec
import knit.v1.Submission as SubmissionMessage

/**
 * What was submitted: as this Application Master understands it, and as clients are given it back.
 *
 * They are given the message itself rather than what was understood of it, so that nothing is lost that this Application Master
 * has no use for, and what was left out stays left out.
 */
internal class SubmissionDocument(
  message: ApplicationSpec,
  val submission: Submission = message.toDomain(),
) {
  /** What is not understood may hold, where nobody looks for it, what is to be seen by owners only. */
  private val message = if (submission.problem == null) message else ApplicationSpec.newBuilder().setName(message.name).build()

  /** For everybody: without annotations, and without the values of variables, which may be secret. */
  val withoutValues: ApplicationSpec = this.message.withoutValues()

  /**
   * With the values that [caller] may see: all for an owner, those of its own service for a container.
   *
   * @param annotations as they are by now, which both may see
   * @throws AmException.PermissionDenied where the caller is neither
   */
  fun withValues(
    caller: Caller,
    annotations: Map<String, Bytes>,
  ): ApplicationSpec {
    val seen = if (caller.role == Role.OWNER) message.toBuilder().clearAnnotations() else ofContainer(caller)
    annotations.forEach { (name, value) -> seen.putAnnotations(name, value.toMessage()) }
    return seen.build()
  }

  private fun ofContainer(caller: Caller): ApplicationSpec.Builder {
    val own =
      caller.container?.serviceName ?: throw AmException.PermissionDenied(
        "Values of variables and annotations are for owners, and for containers. Ask without with_values.",
        facts = mapOf("role" to caller.role.word, "needed" to Role.OWNER.word),
      )
    val seen = withoutValues.toBuilder()
    // A service that was added later was not submitted.
    message.servicesMap[own]?.let { seen.putServices(own, it) }
    return seen
  }

  companion object {
    /** Reads what the client put into the submission's credentials. */
    fun of(bytes: ByteArray): SubmissionDocument =
      try {
        SubmissionDocument(ApplicationSpec.parseFrom(bytes))
      } catch (broken: InvalidProtocolBufferException) {
        val problem = "The specification cannot be read: ${broken.message} It must be a serialized knit.v1.ApplicationSpec."
        val nothing = Submission("", emptyMap(), Submission.DEFAULT_LINGER, stagingUrl = null, userName = null, problem = problem)
        SubmissionDocument(ApplicationSpec.getDefaultInstance(), nothing)
      }
  }
}

private fun ApplicationSpec.withoutValues(): ApplicationSpec {
  val blank = toBuilder().clearAnnotations().putAllServices(servicesMap.mapValues { it.value.withoutValues() })
  if (hasDriver()) blank.setDriver(driver.withoutValues())
  if (hasSubmission()) blank.setSubmission(submission.withoutValues())
  return blank.build()
}

private fun ServiceSpec.withoutValues(): ServiceSpec = toBuilder().putAllEnvironment(environmentMap.blank()).build()

private fun Driver.withoutValues(): Driver = toBuilder().putAllEnvironment(environmentMap.blank()).build()

private fun SubmissionMessage.withoutValues(): SubmissionMessage = toBuilder().putAllMasterEnvironment(masterEnvironmentMap.blank()).build()

private fun Map<String, String>.blank(): Map<String, String> = mapValues { "" }

package knit.am.grpc

import knit.am.AttemptPolicy
import knit.am.DriverSpec
import knit.am.LogLevel
import knit.am.Submitted
import knit.v1.Submission
import knit.am.AccessControl as Acls
import knit.v1.AccessControl as AccessControlMessage
import knit.v1.AttemptPolicy as AttemptPolicyMessage
import knit.v1.Driver as DriverMessage
import knit.v1.LogLevel as LogLevelMessage

// What is submitted beside the services, as messages and as our own types.

internal fun DriverMessage.toDomain() = DriverSpec(command, environmentMap.toMap(), pythonEnvironment.ifEmpty { null }, access.toDomain())

/** Without the values of variables, which may be secret, unless [showsValues]. */
internal fun DriverSpec.toMessage(showsValues: Boolean = false): DriverMessage =
  DriverMessage
    .newBuilder()
    .setCommand(command)
    .putAllEnvironment(if (showsValues) environment else environment.mapValues { "" })
    .setPythonEnvironment(pythonEnvironment.orEmpty())
    .setAccess(access.toMessage())
    .build()

internal fun AttemptPolicyMessage.toDomain(): AttemptPolicy =
  if (this == AttemptPolicyMessage.ATTEMPT_POLICY_FAILURES) AttemptPolicy.FAILURES else AttemptPolicy.CRASHES

internal fun AttemptPolicy.toMessage(): AttemptPolicyMessage =
  when (this) {
    AttemptPolicy.CRASHES -> AttemptPolicyMessage.ATTEMPT_POLICY_CRASHES
    AttemptPolicy.FAILURES -> AttemptPolicyMessage.ATTEMPT_POLICY_FAILURES
  }

internal fun LogLevelMessage.toDomain(): LogLevel =
  when (this) {
    LogLevelMessage.LOG_LEVEL_DEBUG -> LogLevel.DEBUG
    LogLevelMessage.LOG_LEVEL_WARN -> LogLevel.WARN
    LogLevelMessage.LOG_LEVEL_ERROR -> LogLevel.ERROR
    else -> LogLevel.INFO
  }

internal fun LogLevel.toMessage(): LogLevelMessage =
  when (this) {
    LogLevel.DEBUG -> LogLevelMessage.LOG_LEVEL_DEBUG
    LogLevel.INFO -> LogLevelMessage.LOG_LEVEL_INFO
    LogLevel.WARN -> LogLevelMessage.LOG_LEVEL_WARN
    LogLevel.ERROR -> LogLevelMessage.LOG_LEVEL_ERROR
  }

internal fun AccessControlMessage.toDomain() =
  Acls(viewUsersList.toList(), viewGroupsList.toList(), modifyUsersList.toList(), modifyGroupsList.toList())

internal fun Acls.toMessage(): AccessControlMessage =
  AccessControlMessage
    .newBuilder()
    .addAllViewUsers(viewUsers)
    .addAllViewGroups(viewGroups)
    .addAllModifyUsers(modifyUsers)
    .addAllModifyGroups(modifyGroups)
    .build()

internal fun Submission.toDomain() =
  Submitted(
    queue = queue,
    priority = if (hasPriority()) priority else null,
    tags = tagsList.toList(),
    applicationType = applicationType,
    maxAttempts = maxAttempts,
    attemptFailuresValidity = if (hasAttemptFailuresValidity()) attemptFailuresValidity.toDomain() else null,
    lifetime = if (hasLifetime()) lifetime.toDomain() else null,
    masterResource = if (hasMasterResource()) masterResource.toDomain() else null,
    masterNodeLabel = masterNodeLabel.ifEmpty { null },
    masterVariables = masterEnvironmentMap.keys.toSet(),
  )

internal fun Submitted.toMessage(): Submission {
  val message =
    Submission
      .newBuilder()
      .setQueue(queue)
      .addAllTags(tags)
      .setApplicationType(applicationType)
      .setMaxAttempts(maxAttempts)
      .setMasterNodeLabel(masterNodeLabel.orEmpty())
      .putAllMasterEnvironment(masterVariables.associateWith { "" })
  priority?.let { message.setPriority(it) }
  attemptFailuresValidity?.let { message.setAttemptFailuresValidity(it.toMessage()) }
  lifetime?.let { message.setLifetime(it.toMessage()) }
  masterResource?.let { message.setMasterResource(it.toMessage()) }
  return message.build()
}

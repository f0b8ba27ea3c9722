package knit.am.grpc

import knit.am.AttemptPolicy
import knit.am.DriverSpec
import knit.am.LogLevel
import knit.am.AccessControl as Acls
import knit.v1.AccessControl as AccessControlMessage
import knit.v1.AttemptPolicy as AttemptPolicyMessage
import knit.v1.Driver as DriverMessage
import knit.v1.LogLevel as LogLevelMessage

// What is submitted beside the services, in our own types. It is given back as it came: see SubmissionDocument.

internal fun DriverMessage.toDomain() =
  DriverSpec(command, environmentMap.toMap(), pythonEnvironment.ifEmpty { null }, access.toDomain(), resourceManagerToken)

internal fun AttemptPolicyMessage.toDomain(): AttemptPolicy =
  if (this == AttemptPolicyMessage.ATTEMPT_POLICY_FAILURES) AttemptPolicy.FAILURES else AttemptPolicy.CRASHES

internal fun LogLevelMessage.toDomain(): LogLevel =
  when (this) {
    LogLevelMessage.LOG_LEVEL_DEBUG -> LogLevel.DEBUG
    LogLevelMessage.LOG_LEVEL_WARN -> LogLevel.WARN
    LogLevelMessage.LOG_LEVEL_ERROR -> LogLevel.ERROR
    else -> LogLevel.INFO
  }

internal fun AccessControlMessage.toDomain() =
  Acls(viewUsersList.toList(), viewGroupsList.toList(), modifyUsersList.toList(), modifyGroupsList.toList())

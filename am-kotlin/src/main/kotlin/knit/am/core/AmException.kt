package knit.am.core

/**
 * What a client's call can be refused with; the message says what to do next and holds no secret.
 *
 * Sealed, so that whoever turns these into another form (a gRPC status) has to name each.
 */
sealed class AmException(
  message: String,
  /** What clients tell one refusal from another by. */
  val reason: Reason,
  /** The names and numbers in [message], by the names of the contract's fields where it has such; told only as far as they fit. */
  val facts: Map<String, String>,
) : Exception(message) {
  /** The application has no such service, never held such a container, or has no such key. */
  class NotFound(
    message: String,
    reason: Reason,
    facts: Map<String, String> = emptyMap(),
  ) : AmException(message, reason, facts)

  /** It is there already. */
  class AlreadyExists(
    message: String,
    reason: Reason,
    facts: Map<String, String> = emptyMap(),
  ) : AmException(message, reason, facts)

  /** The request could not be carried out in any state. */
  class InvalidArgument(
    message: String,
    reason: Reason = Reason.INVALID_ARGUMENT,
    facts: Map<String, String> = emptyMap(),
  ) : AmException(message, reason, facts)

  /** The request cannot be carried out as things stand: the application is ending, the container has ended. */
  class FailedPrecondition(
    message: String,
    reason: Reason,
    facts: Map<String, String> = emptyMap(),
  ) : AmException(message, reason, facts)

  /** The caller may not do this. */
  class PermissionDenied(
    message: String,
    reason: Reason = Reason.PERMISSION_DENIED,
    facts: Map<String, String> = emptyMap(),
  ) : AmException(message, reason, facts)

  /** It is not known who calls. */
  class Unauthenticated(
    message: String,
    reason: Reason,
    facts: Map<String, String> = emptyMap(),
  ) : AmException(message, reason, facts)

  /** More than YARN grants, or than the Application Master keeps. */
  class ResourceExhausted(
    message: String,
    reason: Reason,
    facts: Map<String, String> = emptyMap(),
  ) : AmException(message, reason, facts)

  /** A position past the end of what can be read, or of what is kept no more. */
  class OutOfRange(
    message: String,
    reason: Reason,
    facts: Map<String, String> = emptyMap(),
  ) : AmException(message, reason, facts)

  /** The Application Master is starting or leaving; the same call may do later. */
  class Unavailable(
    message: String,
    reason: Reason,
    facts: Map<String, String> = emptyMap(),
  ) : AmException(message, reason, facts)
}

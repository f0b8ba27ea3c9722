package knit.am.core

/**
 * What a client's call can be refused with; the message says what to do next and holds no secret.
 *
 * Sealed, so that whoever turns these into another form (a gRPC status) has to name each.
 */
sealed class AmException(
  message: String,
) : Exception(message) {
  /** The application has no such service or never held such a container. */
  class NotFound(
    message: String,
  ) : AmException(message)

  /** The request could not be carried out in any state. */
  class InvalidArgument(
    message: String,
  ) : AmException(message)

  /** The application is ending or has ended, and takes nothing new. */
  class ApplicationEnding(
    message: String,
  ) : AmException(message)

  /** More than YARN grants, or than the Application Master keeps. */
  class ResourceExhausted(
    message: String,
  ) : AmException(message)

  /** A position past the end of what can be read. */
  class OutOfRange(
    message: String,
  ) : AmException(message)

  /** The Application Master is starting or leaving; the same call may do later. */
  class Unavailable(
    message: String,
  ) : AmException(message)
}

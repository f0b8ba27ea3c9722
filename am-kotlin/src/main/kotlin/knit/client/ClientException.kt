package knit.client

/** Why nothing was submitted, or how it went wrong after that: one sentence for people, without any secret. */
internal sealed class ClientException(
  message: String,
  val exitStatus: Int,
  cause: Throwable? = null,
) : Exception(message, cause)

/** The command line makes no sense, whatever the cluster. */
internal class UsageException(
  message: String,
  cause: Throwable? = null,
) : ClientException(message, EXIT_USAGE, cause)

/** This machine or the cluster cannot do what is asked for. */
internal class RefusedException(
  message: String,
  cause: Throwable? = null,
) : ClientException(message, EXIT_REFUSED, cause)

internal const val EXIT_REFUSED = 1
internal const val EXIT_USAGE = 2

/** As of the command `timeout`. */
internal const val EXIT_TIMED_OUT = 124

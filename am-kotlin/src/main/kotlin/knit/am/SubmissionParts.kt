package knit.am

import knit.am.core.Access
import knit.am.core.problemInLaunch

/** A program that runs beside the Application Master, in its container. */
data class DriverSpec(
  val command: String,
  val environment: Map<String, String> = emptyMap(),
  /** Which file of the Application Master's container is the Python environment that is made ready for the command. */
  val pythonEnvironment: String? = null,
  /** What it may ask of the Application Master. */
  val access: Access = Access.CONTAINER,
  /** Whether it is given the RM's delegation token. */
  val resourceManagerToken: Boolean = false,
) {
  /** Why it cannot be run anywhere, in a sentence; null if it can. */
  internal fun problem(): String? = problemInLaunch(command, environment)?.let { "The driver cannot be run: $it." }

  /** Without [command] and the values of [environment], which may be secret. */
  override fun toString(): String = "DriverSpec(environment=${environment.keys})"
}

/** What makes YARN begin an application anew. */
enum class AttemptPolicy {
  /** An Application Master that ended without telling how the application did. */
  CRASHES,

  /** Also an application that failed, unless a client ended it. */
  FAILURES,
}

/** Which log messages of the Application Master are written. */
enum class LogLevel { DEBUG, INFO, WARN, ERROR }

/** Users and groups by name; `*` is everybody. The owner always may. YARN enforces it where `yarn.acl.enable` is set. */
data class AccessControl(
  val viewUsers: List<String> = emptyList(),
  val viewGroups: List<String> = emptyList(),
  val modifyUsers: List<String> = emptyList(),
  val modifyGroups: List<String> = emptyList(),
) {
  companion object {
    val OWNER_ONLY = AccessControl()
  }
}

/** A file system beside the cluster's own, by its URL. */
data class NamedFileSystem(
  val url: String,
  /** Whether the RM cannot reach it, so that a token which is handed to it names no renewer. */
  val isWithoutRenewer: Boolean = false,
)

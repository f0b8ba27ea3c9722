package knit.am

import knit.am.core.Access
import knit.am.core.Resource
import knit.am.core.problemInLaunch
import java.time.Duration

/** A program that runs beside the Application Master, in its container. */
data class DriverSpec(
  val command: String,
  val environment: Map<String, String> = emptyMap(),
  /** Which file of the Application Master's container is the Python environment that is made ready for the command. */
  val pythonEnvironment: String? = null,
  /** What it may ask of the Application Master. */
  val access: Access = Access.CONTAINER,
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

/** What YARN was told at submission. */
data class Submitted(
  val queue: String,
  /** Within the queue; null: the queue's default. */
  val priority: Int?,
  val tags: List<String>,
  val applicationType: String,
  val maxAttempts: Int,
  /** Attempts that failed longer ago do not count; null: all do. */
  val attemptFailuresValidity: Duration?,
  /** YARN ends it after that; null: never. */
  val lifetime: Duration?,
  val masterResource: Resource?,
  val masterNodeLabel: String?,
  /** Names only: values may be secret. */
  val masterVariables: Set<String>,
)

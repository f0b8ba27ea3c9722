package knit.am.core

/**
 * Everything that can happen to an application, whoever reports it.
 *
 * Messages come late, twice, and out of order: a grant nobody waits for any more, the end of a container before its
 * start was confirmed, the end of a container nobody knows. Each input must be harmless in every state.
 */
sealed interface Input

/** What the cluster says. */
sealed interface Report : Input

/** What a client asks for, who is told an [A], or refused with an [AmException]. */
sealed interface Command<out A : Any> : Input

/** The Application Master is registered with the RM; [maxResource] is the most YARN grants to one container. */
data class Registered(
  val maxResource: Resource,
) : Report

/** [maxResource] is the most YARN grants to one container from now on: nodes have come, gone or been resized. */
data class MaximumChanged(
  val maxResource: Resource,
) : Report

/** YARN granted a container that answers a request for [requested]. */
data class Granted(
  val lease: Lease,
  val requested: Shape,
) : Report

/** The NodeManager accepted the launch. */
data class Started(
  val containerId: String,
) : Report

/** A container was not launched. */
data class LaunchFailed(
  val containerId: String,
  val diagnostics: String,
  val fault: LaunchFault = LaunchFault.NODE,
) : Report

/** Whose fault it is that a container was not launched. */
enum class LaunchFault {
  /** Its NodeManager refused, or did not answer in time. */
  NODE,

  /** Nobody's that is known: its NodeManager was not asked, as others wait for its answer already or YARN has taken the lease back. */
  NOBODY,

  /** The specification's: it would fail on every node, so no other one is tried. */
  SPECIFICATION,
}

/** YARN reported the end of a container. [exitStatus] is YARN's number: an exit code, or one of its negative causes. */
data class Completed(
  val containerId: String,
  val exitStatus: Int,
  val diagnostics: String,
) : Report

/** Containers on this node are gone, or as good as gone; YARN's own reports of their ends may follow or not. */
data class NodeLost(
  val nodeId: String,
) : Report

/** Why containers wait for YARN, all of them; in place of what was said before. */
data class WaitingExplained(
  val reasons: List<WaitingReason>,
) : Report

/** Something that people should know of the application has come to pass outside of it. */
data class NoticeGiven(
  val severity: NoticeSeverity,
  /** A sentence, without secrets. */
  val text: String,
) : Report

/** The driver has ended, or was not to be started: once for each [StartDriver]. */
data class DriverEnded(
  /** 0 to 255, 128 + N after signal N; null where it has none. */
  val exitCode: Int?,
  /** The end of what it wrote to its stderr, or why it has no exit code. */
  val diagnostics: String,
) : Report

/** The RM has taken note of the outcome; see [Unregister]. */
data object Unregistered : Report

/** A client wants more containers; the answer is these as they were when they were added, however often it is asked for. */
data class AddContainers(
  val serviceName: String,
  val count: Int,
  val resource: Resource?,
  val environment: Map<String, String>,
  /** Empty: never deduplicated. */
  val requestId: String,
  /** The [Application.historyId] the client believes in; empty: whichever it is. */
  val historyId: String = "",
  /** Who wants them; with variables of their own they may have no more access than that. */
  val caller: Caller = Caller(Role.OWNER),
) : Command<List<Container>> {
  /** Without the values of [environment], which may be secret. */
  override fun toString(): String = "AddContainers($count × $serviceName, $resource, environment=${environment.keys}, '$requestId')"
}

/**
 * A client wants containers to stop: by YARN's identifier, by name, or whatever fills places and services. The answer is these
 * as they are afterwards.
 */
data class StopContainers(
  val containerIds: List<String>,
  val places: List<PlaceKey>,
  val containers: List<ContainerRef> = emptyList(),
  val serviceNames: List<String> = emptyList(),
  /** Empty: never deduplicated. Where a place is named, what fills it by then would be stopped by the same request again. */
  val requestId: String = "",
  val historyId: String = "",
  /** Who wants it; a container may stop itself only. */
  val caller: Caller = Caller(Role.OWNER),
) : Command<List<Container>> {
  val named: Named
    get() = Named(containerIds, places, containers, serviceNames)
}

/** A client ends the application; the answer is the application as it is afterwards. */
data class EndApplication(
  val finalStatus: FinalStatus,
  val diagnostics: String,
) : Command<Application>

/** [Application.nextDeadline] has passed. Which deadline that was, the application knows. */
data object Due : Input

package knit.am.core

import java.time.Instant

/** A place in a service: what a replacement takes over from the container it replaces. */
data class Place(
  val serviceName: String,
  val rank: Int,
) : Comparable<Place> {
  override fun compareTo(other: Place): Int = compareValuesBy(this, other, Place::serviceName, Place::rank)
}

/** One container, granted or not: its place, and which one at that place it is, from 1. */
data class ContainerKey(
  val place: Place,
  val attemptNumber: Int,
) : Comparable<ContainerKey> {
  override fun compareTo(other: ContainerKey): Int = compareValuesBy(this, other, ContainerKey::place, ContainerKey::attemptNumber)
}

/** What YARN granted: the lease, and where it lies. */
data class Lease(
  val containerId: String,
  /** `host:port` of the NodeManager. */
  val nodeId: String,
  /** `host:port` of the NodeManager's web server. */
  val nodeHttpAddress: String,
  /** What was granted; at least what was asked for. */
  val resource: Resource,
)

/** Why a container ended; the process itself is only one of the possible causes. */
enum class ExitReason {
  EXITED,
  STOPPED,
  APPLICATION_ENDED,
  PREEMPTED,
  OUT_OF_MEMORY,
  NODE_LOST,
  DISK_FAILED,
  LOCALIZATION_FAILED,
  LAUNCH_FAILED,
  KILLED_BY_YARN,
}

/** How a container ended. */
data class ContainerExit(
  val reason: ExitReason,
  /** 0 to 255; null if the process never ran or YARN did not see it end. */
  val exitCode: Int?,
  val finishTime: Instant,
  /** YARN's own words. */
  val diagnostics: String,
)

/** One container of the application, from the wish for it to its end. */
data class Container(
  val key: ContainerKey,
  val state: ContainerState,
  /** What is asked for; see [Lease.resource] for what was granted. */
  val resource: Resource,
  /** Over the service's own, for containers added with variables of their own; a replacement inherits them. */
  val environment: Map<String, String>,
  val requestTime: Instant,
  val lease: Lease? = null,
  val startTime: Instant? = null,
  /** Set once its end was asked for: what its [ContainerExit.reason] will be. */
  val stopCause: ExitReason? = null,
  val exit: ContainerExit? = null,
)

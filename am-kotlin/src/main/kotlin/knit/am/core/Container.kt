package knit.am.core

import java.time.Instant

/** One container, granted or not: its place, and which one at that place it is, from 1. */
data class ContainerKey(
  val place: PlaceKey,
  val attemptNumber: Int,
) : Comparable<ContainerKey> {
  override fun compareTo(other: ContainerKey): Int {
    val byPlace = place.compareTo(other.place)
    return if (byPlace != 0) byPlace else attemptNumber.compareTo(other.attemptNumber)
  }

  override fun toString(): String = "$place (attempt $attemptNumber)"
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

/** How a container ended. */
data class ContainerExit(
  val reason: ExitReason,
  /** 0 to 255; null if the process never ran or YARN did not see it end. */
  val exitCode: Int?,
  val finishTime: Instant,
  /** YARN's own words. */
  val diagnostics: String,
) {
  /**
   * The signal that ended the process, by number; null if none did.
   *
   * Read from the shell's code: a program that itself exits with 129 to 159 looks the same.
   */
  val signal: Int?
    get() = exitCode?.let(::signalOf)
}

/** The signal that an exit code of the shell's stands for. */
internal fun signalOf(exitCode: Int): Int? = (exitCode - SIGNAL_BASE).takeIf { it in signals }

private const val SIGNAL_BASE = 128
private val signals = 1..31

/** One container of the application, from the wish for it to its end. */
data class Container(
  val key: ContainerKey,
  val state: ContainerState,
  /** Which container of its service it is, in the order they were wanted, from 0: never given again. */
  val ordinal: Int,
  /** Which specification of its service it runs. */
  val revision: Int,
  /** A replacement inherits it. */
  val variant: Variant,
  val requestTime: Instant,
  val lease: Lease? = null,
  val startTime: Instant? = null,
  /** Since when its program says that it is ready; null: it does not, or its service does not ask it. */
  val reportTime: Instant? = null,
  /** When it became ready last; it may not be any more, see [isReady]. */
  val readyTime: Instant? = null,
  /** Whether it is ready, as long as it runs. */
  val isReady: Boolean = false,
  /** Whether an attempt before it at its place was [ContainerState.RUNNING], and whether one was ready. */
  val hadStarted: Boolean = false,
  val hadBeenReady: Boolean = false,
  /**
   * When something is due: that it is asked for ([restartTime]), given back ([ContainerState.HELD]), looked at whether it is
   * ready ([ContainerState.RUNNING]), or killed ([killTime]).
   */
  val dueTime: Instant? = null,
  /** Set once its end was asked for: what its [ContainerExit.reason] will be. */
  val stopCause: ExitReason? = null,
  val exit: ContainerExit? = null,
) {
  val ref: ContainerRef
    get() = ContainerRef(key.place.serviceName, ordinal)

  /** What is asked for; see [Lease.resource] for what was granted. */
  val resource: Resource
    get() = variant.resource

  /** Over the service's own. */
  val environment: Map<String, String>
    get() = variant.environment

  /** While it rests after a failure: when it will be asked for. */
  val restartTime: Instant?
    get() = dueTime.takeIf { state == ContainerState.PENDING }

  /** While it is being stopped: when its process is killed, where its service has a stop grace. */
  val killTime: Instant?
    get() = dueTime.takeIf { state == ContainerState.STOPPING }

  /** Without the values of [environment], which may be secret. */
  override fun toString(): String = "Container($key, #$ordinal, $state, lease=$lease, exit=$exit, environment=${environment.keys})"
}

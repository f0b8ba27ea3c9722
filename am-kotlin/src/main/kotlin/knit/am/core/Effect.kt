package knit.am.core

/**
 * Everything the core wants done. Carried out outside the core, at least once each, those of one container in the order
 * they were returned in, all others in any; what comes of it returns as a [Report].
 *
 * What is asked of YARN is not an effect: it is a function of the state ([Application.wantedShapes]), and whoever talks to
 * the RM makes what is asked equal to what is wanted.
 */
sealed interface Effect

/** Start the container's process; answered by [Started] or [LaunchFailed]. */
data class Launch(
  val key: ContainerKey,
  val ordinal: Int,
  val revision: Int,
  val lease: Lease,
  /** Of that revision. */
  val spec: ServiceSpec,
  /** Over the service's own; see [Container.environment]. */
  val environment: Map<String, String> = emptyMap(),
) : Effect {
  /** Without the values of [environment], which may be secret. */
  override fun toString(): String = "Launch($key, $lease, environment=${environment.keys})"
}

/**
 * End the container's process through its NodeManager, and through the RM where that does not answer; [Completed] follows.
 *
 * It can come while the launch is still on its way to the NodeManager, and again once that was confirmed. A launch that
 * nobody has begun yet need not be made then: giving the lease back is enough.
 */
data class StopContainer(
  val lease: Lease,
) : Effect

/** Give a lease back to the RM: nothing runs on it, or what runs must end and its NodeManager cannot be asked. */
data class Release(
  val containerId: String,
) : Effect

/** Start the driver, at most once; answered by [DriverEnded]. */
data object StartDriver : Effect

/** End the driver's process; [DriverEnded] follows. */
data object StopDriver : Effect

/**
 * Tell the RM how the application ended; comes exactly once, and is answered by [Unregistered].
 *
 * Nothing is asked of YARN after that. A [Release] that still follows (a late grant) needs no work: with the
 * application YARN takes every lease back.
 */
data class Unregister(
  val outcome: Outcome,
) : Effect

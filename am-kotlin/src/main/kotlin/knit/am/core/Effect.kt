package knit.am.core

/**
 * Everything the core wants done. Carried out outside the core, in any order, at least once each; what comes of it
 * returns as an [Event].
 *
 * What is asked of YARN is not an effect: it is a function of the state ([Application.wanted]), and whoever talks to
 * the RM makes what is asked equal to what is wanted.
 */
sealed interface Effect

/** Start the container's process; answered by [Started] or [LaunchFailed]. */
data class Launch(
  val key: ContainerKey,
  val lease: Lease,
) : Effect

/** End the container's process through its NodeManager, and through the RM where that does not answer; [Completed] follows. */
data class StopContainer(
  val lease: Lease,
) : Effect

/** Give a lease back to the RM: nothing runs on it, or what runs must end and its NodeManager cannot be asked. */
data class Release(
  val containerId: String,
) : Effect

/** Send [EndingTimedOut] unless the application has ended by then. */
object StartEndingTimer : Effect

/** Tell the RM how the application ended; nothing is asked of YARN after that. */
data class Unregister(
  val outcome: Outcome,
) : Effect

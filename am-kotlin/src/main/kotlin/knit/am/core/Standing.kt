package knit.am.core

/** Whether a key can belong to a container. */
internal enum class Standing {
  ALIVE,

  /** It has ended, or is about to. */
  ENDED,

  /** There never was such a one. */
  UNKNOWN,
}

/** Whether a container is neither final nor about to be. */
internal val Container.isAlive: Boolean
  get() = !state.isFinal && state != ContainerState.STOPPING

internal fun Application.standingOf(ref: ContainerRef): Standing {
  val container = container(ref)
  return when {
    container != null -> if (container.isAlive) Standing.ALIVE else Standing.ENDED

    // Those that are forgotten are counted, and no ordinal is left out.
    ref.ordinal in 0 until tally(ref.serviceName).total -> Standing.ENDED

    else -> Standing.UNKNOWN
  }
}

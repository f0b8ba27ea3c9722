package knit.am.core

/**
 * Where a container is in its life, and where it may go from there.
 *
 * | State       | Lease held | Process alive | Next                                          |
 * |-------------|------------|---------------|-----------------------------------------------|
 * | [PENDING]   | no         | no            | [REQUESTED], [STOPPED]                        |
 * | [REQUESTED] | no         | no            | [HELD], [LAUNCHING], [STOPPED]                |
 * | [HELD]      | yes        | no            | [LAUNCHING], [REQUESTED], [FAILED], [STOPPED] |
 * | [LAUNCHING] | yes        | maybe         | [RUNNING], [STOPPING], [SUCCEEDED], [FAILED]  |
 * | [RUNNING]   | yes        | yes           | [STOPPING], [SUCCEEDED], [FAILED]             |
 * | [STOPPING]  | yes        | maybe         | [STOPPED], [FAILED] where it is [ExitReason.UNHEALTHY] |
 *
 * [SUCCEEDED], [FAILED] and [STOPPED] are final: the lease is back with YARN, or [Release] is on its way.
 *
 * A container skips [RUNNING] when its end is reported before its start. It ends [STOPPED] whatever its exit code once
 * its end was asked for: a program that leaves with 0 on SIGTERM and one that had just finished look the same from here.
 */
enum class ContainerState(
  next: () -> Set<ContainerState>,
) {
  /** Wanted, and not asked for yet: its service waits for others, or its rank rests or is still filled by the one before. */
  PENDING({ setOf(REQUESTED, STOPPED) }),
  REQUESTED({ setOf(HELD, LAUNCHING, STOPPED) }),

  /** Waits for the others of its service, to start together. */
  HELD({ setOf(LAUNCHING, REQUESTED, FAILED, STOPPED) }),
  LAUNCHING({ setOf(RUNNING, STOPPING, SUCCEEDED, FAILED) }),
  RUNNING({ setOf(STOPPING, SUCCEEDED, FAILED) }),
  STOPPING({ setOf(STOPPED, FAILED) }),
  SUCCEEDED({ emptySet() }),
  FAILED({ emptySet() }),
  STOPPED({ emptySet() }),
  ;

  /** The states it may pass to from here. */
  val next: Set<ContainerState> by lazy(next)

  val isFinal: Boolean
    get() = next.isEmpty()

  /** Whether YARN counts a lease for it. */
  val isLeased: Boolean
    get() = this != PENDING && this != REQUESTED && !isFinal
}

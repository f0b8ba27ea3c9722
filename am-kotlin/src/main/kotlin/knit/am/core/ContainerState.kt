package knit.am.core

/**
 * Where a container is in its life, and where it may go from there.
 *
 * | State       | Lease held | Process alive | Next                                          |
 * |-------------|------------|---------------|-----------------------------------------------|
 * | [REQUESTED] | no         | no            | [LAUNCHING], [STOPPED]                        |
 * | [LAUNCHING] | yes        | maybe         | [RUNNING], [STOPPING], [SUCCEEDED], [FAILED]  |
 * | [RUNNING]   | yes        | yes           | [STOPPING], [SUCCEEDED], [FAILED]             |
 * | [STOPPING]  | yes        | maybe         | [STOPPED]                                     |
 *
 * [SUCCEEDED], [FAILED] and [STOPPED] are final: the lease is back with YARN, or [Release] is on its way.
 *
 * A container skips [RUNNING] when its end is reported before its start. It ends [STOPPED] whatever its exit code once
 * its end was asked for: a program that leaves with 0 on SIGTERM and one that had just finished look the same from here.
 */
enum class ContainerState(
  next: () -> Set<ContainerState>,
) {
  REQUESTED({ setOf(LAUNCHING, STOPPED) }),
  LAUNCHING({ setOf(RUNNING, STOPPING, SUCCEEDED, FAILED) }),
  RUNNING({ setOf(STOPPING, SUCCEEDED, FAILED) }),
  STOPPING({ setOf(STOPPED) }),
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
    get() = this != REQUESTED && !isFinal
}

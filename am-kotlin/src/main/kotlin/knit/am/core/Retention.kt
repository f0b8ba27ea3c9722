package knit.am.core

/**
 * How much is remembered of containers that have ended. Counts stay right whatever is forgotten, and a rank's latest
 * container is never forgotten.
 *
 * 100,000 ranks are some 90 MiB; the attempts before the latest and what the others said at their end add 20 MiB.
 */
internal data class Retention(
  /** Of each rank, how many attempts before its latest. */
  val attemptsPerRank: Int = 10,
  /** Of all ranks together, how many attempts before their latest. */
  val attempts: Int = 20_000,
  /** How many have all of [ContainerExit.diagnostics]; of those that ended earlier the last words are kept. */
  val diagnostics: Int = 1_000,
  /** How many leases that no container has any more are known again, should YARN grant them twice. */
  val leases: Int = MAX_CONTAINERS,
)

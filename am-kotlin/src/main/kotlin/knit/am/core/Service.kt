package knit.am.core

import java.time.Instant

/** How a service does. */
enum class ServiceCondition {
  /** It waits for other services. */
  PENDING,

  /** Some ranks have not been ready yet. */
  STARTING,

  /** Every rank is ready, has succeeded or was stopped on request. */
  READY,

  /** Every rank was ready once; some are not at present, or have failed for good. */
  DEGRADED,

  /** Final, unless it is scaled up: every rank has succeeded or was stopped on request. */
  SUCCEEDED,

  /** Final, unless it is scaled up: every rank is final, and one at least has failed. */
  FAILED,

  /** Final. */
  REMOVED,
}

/**
 * A set of like containers: what is wanted of it, and how it does. What is to run is a record of its own, [SpecAdded], for it
 * is large and seldom changes.
 */
data class Service(
  val name: String,
  /** Which specification is the present one, from 1; see [Application.spec]. */
  val revision: Int = 1,
  /** How many ranks are to be filled. */
  val target: Int,
  val condition: ServiceCondition = ServiceCondition.STARTING,
  /** Whether what it depends on has been so: it holds once and for all. */
  val hasBegun: Boolean = true,
  /** Of the budgets that the whole service shares, by their place in the specification; see [Place.accounts] for the others. */
  val accounts: Map<Int, Account> = emptyMap(),
  /** What its containers wait for. */
  val waits: List<WaitingReason> = emptyList(),
  val update: ServiceUpdate? = null,
  /** The last number that was given to a specification: what is rolled back has one too. */
  val newestRevision: Int = revision,
  /** The first revision whose containers are as the present one wants them: those after it changed policies only. */
  val sameSince: Int = revision,
  /** Whether its containers have started together, where that is what it wants: those that come later start as they come. */
  val hasStartedTogether: Boolean = false,
  /** Until when its containers may wait for YARN; null: none waits, or without end. */
  val allocationDeadline: Instant? = null,
  /** Whether that has passed, and something waits still. */
  val hasWaitedTooLong: Boolean = false,
  val isRemoved: Boolean = false,
) {
  /** Whether a container of this revision is as the present one wants it. */
  fun isPresent(revision: Int): Boolean = revision in sameSince..this.revision

  /** Whether it waits for other services. */
  internal val isWaiting: Boolean
    get() = !hasBegun && !isRemoved
}

/** A service on its way from one revision to another. */
data class ServiceUpdate(
  /** What is brought back if it is rolled back. */
  val fromRevision: Int,
  /** [Service.sameSince] of that one, and of the one to come. */
  val fromSince: Int,
  val toRevision: Int,
  val newSince: Int,
  val state: UpdateState = UpdateState.UPDATING,
  /** How many containers of the new revision have failed, or were not ready in time. */
  val failures: Int = 0,
  /** For people: why it is paused or rolled back. */
  val explanation: String = "",
  /** Ranks beyond the service's own, filled for the time of the update. */
  val surgeRanks: Set<Int> = emptySet(),
  /** Ranks whose container of the new revision has failed, and that are filled again as soon as it goes on. */
  val failedRanks: Set<Int> = emptySet(),
  /** Until when the first of those on their way has to be ready; null: none is. */
  val readyDeadline: Instant? = null,
)

enum class UpdateState { UPDATING, PAUSED, ROLLING_BACK }

/** What one budget was spent on. */
data class Account(
  /** Failures that count; where these are forgotten in time, as many as [times]. */
  val spent: Int = 0,
  /** When each was, oldest first; none where the budget forgets nothing. */
  val times: List<Instant> = emptyList(),
)

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
  /** Until when its containers may wait for YARN; null: none waits, or without end. */
  val allocationDeadline: Instant? = null,
  val isRemoved: Boolean = false,
)

/** A service on its way from one revision to another. */
data class ServiceUpdate(
  val fromRevision: Int,
  val toRevision: Int,
  val state: UpdateState = UpdateState.UPDATING,
  /** How many containers of the new revision have failed, or were not ready in time. */
  val failures: Int = 0,
  /** For people: why it is paused or rolled back. */
  val explanation: String = "",
)

enum class UpdateState { UPDATING, PAUSED, ROLLING_BACK }

/** What one budget was spent on. */
data class Account(
  /** Failures that count; where these are forgotten in time, as many as [times]. */
  val spent: Int = 0,
  /** When each was, oldest first; none where the budget forgets nothing. */
  val times: List<Instant> = emptyList(),
)

package knit.am.core

import java.time.Instant

/**
 * An application while one input is worked into it. Lives for one call of [decide] and is seen by nobody else.
 *
 * [put] is the only way to change anything.
 */
internal class Turn(
  private val before: Application,
  val now: Instant,
) {
  /** The number that all changes of this turn have. */
  val sequence = before.sequence + 1
  private val mutableChanges = ArrayList<Change>(FEW)
  private val effects = ArrayList<Effect>()
  private var current = before
  private var applied = 0

  /** As it is by now. Changes are worked in when somebody looks, so that many of them cost little more than one. */
  val application: Application
    get() {
      if (applied < mutableChanges.size) {
        current = current.applying(mutableChanges, applied, sequence)
        applied = mutableChanges.size
      }
      return current
    }

  /** What this turn has changed so far. */
  val changes: List<Change>
    get() = mutableChanges

  fun put(change: Change) {
    mutableChanges += change
  }

  fun put(container: Container) = put(ContainerChanged(container))

  fun put(header: Header) {
    if (header != application.header) put(HeaderChanged(header))
  }

  fun effect(effect: Effect) {
    effects += effect
  }

  fun <A : Any> toDecision(answer: A): Decision<A> {
    if (mutableChanges.isEmpty()) return Decision(application, null, effects, answer)
    if (mutableChanges.all { it is LeaseKept }) {
      return Decision(before.applying(mutableChanges, 0, before.sequence), null, effects, answer, mutableChanges)
    }
    val after = application
    return Decision(after, ChangeSet(sequence, now, mutableChanges, after.talliesOf(mutableChanges)), effects, answer)
  }

  private companion object {
    /** So many records change in most turns, and turns are kept a while. */
    const val FEW = 2
  }
}

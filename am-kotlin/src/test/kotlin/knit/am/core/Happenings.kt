package knit.am.core

import knit.am.ChangeFeed
import kotlinx.coroutines.flow.MutableStateFlow

/** An application to which things happen, and what its loop would show of it. */
class Happenings(
  initial: Application,
  val changes: ChangeFeed = ChangeFeed(initial.sequence),
) {
  val snapshots = MutableStateFlow(initial)

  /** Each input in a turn of its own, published at once. */
  fun take(vararg inputs: Input) {
    for (input in inputs) {
      val decision = snapshots.value.decide(input, NOW)
      snapshots.value = decision.application
      changes.append(listOfNotNull(decision.changes))
    }
  }
}

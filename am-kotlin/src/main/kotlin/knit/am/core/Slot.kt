package knit.am.core

import kotlinx.collections.immutable.PersistentList

/** What is known of one place: its own record, and its containers. */
internal data class Slot(
  /** Null where there is nothing to tell. */
  val place: Place?,
  /** What fills it, is asked for to fill it, or was the last to. */
  val latest: Container,
  /** The attempts before it, oldest first; see [Retention]. Those that the latest takes over from may not be final yet. */
  val earlier: PersistentList<Container>,
) {
  val oldest: Container
    get() = earlier.firstOrNull() ?: latest

  /** How many attempts there were before those that are known. */
  val forgotten: Int
    get() = oldest.key.attemptNumber - 1

  val isRetired: Boolean
    get() = place?.isRetired == true

  /** Whether a container at this rank is ready: where another one is on its way, the one before it may be. */
  val isReady: Boolean
    get() = latest.isReady || earlier.any { it.isReady }

  /** Those that are not final, oldest first: two at most. */
  val open: List<Container>
    get() = attempts.filterNot { it.state.isFinal }

  val attempts: List<Container>
    get() = if (earlier.isEmpty()) listOf(latest) else earlier + latest

  fun attempt(number: Int): Container? =
    if (number == latest.key.attemptNumber) latest else earlier.getOrNull(number - oldest.key.attemptNumber)

  fun with(container: Container): Slot =
    if (container.key.attemptNumber == latest.key.attemptNumber) {
      copy(latest = container)
    } else {
      copy(earlier = earlier.set(container.key.attemptNumber - oldest.key.attemptNumber, container))
    }
}

package knit.am.core

/** What is counted of one service's containers and ranks. Immutable. */
class Tally internal constructor(
  private val numbers: IntArray,
  internal val extremes: Extremes = Extremes.NONE,
) {
  /** How many containers are in [state], forgotten ones included. */
  operator fun get(state: ContainerState): Int = numbers[state.ordinal]

  /** How many containers there are and were: the ordinal of the next one. */
  val total: Int
    get() = (0 until STATES).sumOf { numbers[it] }

  /** How many are not in a final state. */
  val open: Int
    get() = states.sumOf { if (it.isFinal) 0 else numbers[it.ordinal] }

  /** How many ranks are not retired; what follows counts those only. */
  val ranks: Int get() = numbers[RANKS]

  val readyRanks: Int get() = numbers[READY_RANKS]

  /** Ranks whose latest container is final. */
  val succeededRanks: Int get() = numbers[SUCCEEDED_RANKS]
  val failedRanks: Int get() = numbers[FAILED_RANKS]
  val stoppedRanks: Int get() = numbers[STOPPED_RANKS]

  /** Ranks that are not final, and none of whose attempts was ready. */
  val neverReadyRanks: Int get() = numbers[NEVER_READY_RANKS]

  /** Of the ranks it began with, those none of whose attempts was [ContainerState.RUNNING]. */
  val neverStartedRanks: Int get() = numbers[NEVER_STARTED_RANKS]

  internal fun edit() = TallyEdit(numbers.copyOf(), extremes)

  override fun equals(other: Any?): Boolean = other is Tally && numbers.contentEquals(other.numbers) && extremes == other.extremes

  override fun hashCode(): Int = numbers.contentHashCode()

  override fun toString(): String = numbers.joinToString(", ", "Tally(", ", $extremes)")

  internal companion object {
    private val states = ContainerState.values()
    val STATES = states.size
    val RANKS = STATES
    val READY_RANKS = STATES + 1
    val SUCCEEDED_RANKS = STATES + 2
    val FAILED_RANKS = STATES + 3
    val STOPPED_RANKS = STATES + 4
    val NEVER_READY_RANKS = STATES + 5
    val NEVER_STARTED_RANKS = STATES + 6
    val SIZE = STATES + 7
    val NONE = Tally(IntArray(SIZE))

    /** From the records alone. */
    fun of(
      slots: Iterable<Slot>,
      instances: Int,
    ): Tally {
      val edit = NONE.edit()
      for (slot in slots) {
        slot.attempts.forEach { edit.moved(null, it.state) }
        edit.forgotten(slot.forgotten, slot.place)
        edit.count(slot, instances, 1)
        edit.wait(slot, 1)
        edit.spend(slot, 1)
      }
      return edit.build()
    }
  }
}

/** A [Tally] while the changes of a turn are worked into it. */
internal class TallyEdit(
  private val numbers: IntArray,
  private var extremes: Extremes,
) {
  fun moved(
    old: ContainerState?,
    new: ContainerState?,
  ) {
    if (old != null) numbers[old.ordinal]--
    if (new != null) numbers[new.ordinal]++
  }

  /** So many attempts at a place are forgotten; unless its record says otherwise, they had failed. */
  fun forgotten(
    attempts: Int,
    place: Place?,
  ) {
    numbers[ContainerState.FAILED.ordinal] += attempts
    forgotten(place, 1)
  }

  /** What the record of a place says of its forgotten attempts, added or taken away. */
  fun forgotten(
    place: Place?,
    sign: Int,
  ) {
    if (place == null) return
    numbers[ContainerState.SUCCEEDED.ordinal] += sign * place.forgottenSucceeded
    numbers[ContainerState.STOPPED.ordinal] += sign * place.forgottenStopped
    numbers[ContainerState.FAILED.ordinal] -= sign * (place.forgottenSucceeded + place.forgottenStopped)
  }

  /** Adds or takes away what [slot] is as a rank of a service that began with [instances]. */
  fun count(
    slot: Slot,
    instances: Int,
    sign: Int,
  ) {
    if (slot.isRetired) return
    val latest = slot.latest
    numbers[Tally.RANKS] += sign
    if (slot.isReady) numbers[Tally.READY_RANKS] += sign
    if (latest.isReady) extremes = extremes.readies(slot, sign)
    when (latest.state) {
      ContainerState.SUCCEEDED -> numbers[Tally.SUCCEEDED_RANKS] += sign
      ContainerState.FAILED -> numbers[Tally.FAILED_RANKS] += sign
      ContainerState.STOPPED -> numbers[Tally.STOPPED_RANKS] += sign
      else -> if (latest.readyTime == null && !latest.hadBeenReady) numbers[Tally.NEVER_READY_RANKS] += sign
    }
    val hasStarted = latest.startTime != null || latest.hadStarted || latest.state == ContainerState.SUCCEEDED
    if (latest.key.place.rank < instances && !hasStarted) numbers[Tally.NEVER_STARTED_RANKS] += sign
  }

  /** Adds or takes away what [slot] waits for. */
  fun wait(
    slot: Slot,
    sign: Int,
  ) {
    extremes = extremes.waits(slot, sign)
  }

  /** Adds or takes away what [slot] has spent. */
  fun spend(
    slot: Slot,
    sign: Int,
  ) {
    extremes = extremes.spends(slot, sign)
  }

  fun build() = Tally(numbers, extremes)
}

package knit.am

import knit.am.core.AnnotationChanged
import knit.am.core.Change
import knit.am.core.ChangeSet
import knit.am.core.ContainerAbridged
import knit.am.core.ContainerChanged
import knit.am.core.HeaderChanged
import knit.am.core.KeyChanged
import knit.am.core.Noticed
import knit.am.core.RequestAnswered
import knit.am.core.SpecAdded
import knit.am.core.VariantAdded
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow
import java.util.concurrent.atomic.AtomicReferenceArray

/**
 * The turns that have changed the application lately, for whoever wants to know what is new.
 *
 * One ring for all, written by the application's loop alone. A watcher has a place in it, which is a number, and no queue:
 * whoever never reads costs nothing but a suspended coroutine. Who has fallen out of the ring is told so, lists the
 * application, and goes on from the [knit.am.core.Application.sequence] of what he has listed.
 *
 * A turn is kept whole or not at all. One that is larger than the ring only passes through it: everybody lists then,
 * which is about what it would cost to tell them.
 *
 * @param last the number of the last turn before those that will be appended
 */
class ChangeFeed(
  last: Long,
  private val maxTurns: Int = MAX_TURNS,
  private val maxChanges: Int = MAX_CHANGES,
  private val maxBytes: Long = MAX_BYTES,
) {
  /** A turn stands at its number modulo the length; what stands there may by now be a later one. */
  private val ring = AtomicReferenceArray<ChangeSet?>(maxTurns)
  private val mutableHead = MutableStateFlow(last)

  /** The number of the last turn. [ApplicationLoop.snapshots] shows what it has changed, or more. */
  val head: StateFlow<Long> = mutableHead.asStateFlow()

  // What is in the ring. Of the loop alone.
  private var oldest = last + 1
  private var newest = last
  private var changeCount = 0
  private var byteCount = 0L

  /** Appends [turns], which follow the last one and each other without a gap. Only for the application's loop. */
  internal fun append(turns: List<ChangeSet>) {
    for (turn in turns) {
      check(turn.sequence == newest + 1) { "the turn ${turn.sequence} comes after $newest" }
      newest = turn.sequence
      changeCount += turn.changes.size
      byteCount += turn.bytes
      while (oldest < newest && isFull()) drop()
      ring.set(place(newest), turn)
      if (isFull()) drop()
    }
    mutableHead.value = newest
  }

  private fun isFull() = newest - oldest >= maxTurns || changeCount > maxChanges || byteCount > maxBytes

  private fun drop() {
    val turn = checkNotNull(ring.getAndSet(place(oldest++), null))
    changeCount -= turn.changes.size
    byteCount -= turn.bytes
  }

  /** The turns after the one with the number [after], as far as there are some by now; null where the first of them is gone. */
  fun since(after: Long): List<ChangeSet>? = (after + 1..mutableHead.value).map { turn(it) ?: return null }

  /**
   * The turn after the one with the number [after]; null: there is none by now.
   *
   * @throws FellBehindException where it is gone: list, and watch from there.
   */
  fun next(after: Long): ChangeSet? = if (mutableHead.value <= after) null else turn(after + 1) ?: throw FellBehindException(after)

  /** Waits until there are turns after the one with the number [after]. */
  suspend fun await(after: Long) {
    mutableHead.first { it > after }
  }

  /**
   * The turns after the one with the number [after], for ever: what there is, then each as it comes.
   *
   * Cold. A collector that is slow holds up nobody, and nothing is kept for it.
   *
   * @throws FellBehindException where the next turn is gone: list, and watch from there.
   */
  fun watch(after: Long): Flow<ChangeSet> =
    flow {
      var last = after
      while (true) {
        await(last)
        emit(turn(last + 1) ?: throw FellBehindException(last))
        last++
      }
    }

  private fun turn(sequence: Long): ChangeSet? = ring.get(place(sequence))?.takeIf { it.sequence == sequence }

  private fun place(sequence: Long): Int = (sequence % maxTurns).toInt()

  companion object {
    /** The turns of some minutes in which 100 containers start and end in a second, each with three; the ring's places are 512 KiB. */
    const val MAX_TURNS = 100_000

    /** The contract's, so that each turn may have one: those of some minutes, or of several that add or stop 10,000 containers. */
    const val MAX_CHANGES = 100_000

    /**
     * A tenth of the smallest Application Master's heap, and the contract's: three values of a key of 8 MiB that others have
     * taken the place of. Most of what else is counted is the application's anyway.
     */
    const val MAX_BYTES = 32L * 1024 * 1024
  }
}

/** A watcher has not read for so long that what came after the turn [after] is no longer kept. */
class FellBehindException(
  after: Long,
) : Exception("What came after turn $after is no longer kept. List the application, and watch from the turn that this shows.")

/** About what this takes on the heap; what varies is text, of two bytes a character in older JVMs, and values. */
internal val ChangeSet.bytes: Long
  get() = changes.sumOf { CHANGE_BYTES + 2L * it.textLength + it.valueBytes }

/** A change, its record, and the times in it. */
private const val CHANGE_BYTES = 150L

/**
 * What it holds of a key that nothing else does: the value before. The one it has now is the store's, until another change of
 * the same key comes, which then has it as the one before; and what is later is never dropped earlier.
 */
private val Change.valueBytes: Long
  get() =
    when (this) {
      is KeyChanged -> key.size + (previous?.bytes ?: 0)
      is AnnotationChanged -> value?.size?.toLong() ?: 0
      else -> 0
    }

private val Change.textLength: Int
  get() =
    when (this) {
      is ContainerChanged -> container.exit?.diagnostics?.length ?: 0
      is ContainerAbridged -> container.exit?.diagnostics?.length ?: 0
      is HeaderChanged -> header.outcome?.diagnostics?.length ?: 0
      is SpecAdded -> spec.command.length + spec.environment.length
      is VariantAdded -> variant.environment.length
      is RequestAnswered -> answered.requestId.length
      is AnnotationChanged -> name.length
      is Noticed -> text.length
      else -> 0
    }

private val Map<String, String>.length: Int
  get() = entries.sumOf { it.key.length + it.value.length }

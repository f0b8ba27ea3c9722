package knit.am.core

import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.persistentHashMapOf
import kotlinx.collections.immutable.persistentMapOf

/**
 * The containers that wait for a grant, one line per size, lowest key first.
 *
 * Immutable; every operation costs at most the logarithm of the line's length. A container that leaves a line out of
 * turn is only counted off, and dropped when its turn would come.
 */
internal class Waiting private constructor(
  private val lines: PersistentMap<Resource, Line>,
) {
  /** How many wait for a container of each size. */
  val counts: Map<Resource, Int>
    get() = lines.mapValues { it.value.count }

  val countsByService: Map<Resource, Map<String, Int>>
    get() = lines.mapValues { it.value.byService }

  val sizes: Set<Resource>
    get() = lines.keys

  /** The lowest key in the line for [size], or null. */
  fun first(size: Resource): ContainerKey? = lines[size]?.heap?.first

  fun plus(
    size: Resource,
    key: ContainerKey,
  ): Waiting {
    val service = key.place.serviceName
    val line = lines[size] ?: return Waiting(lines.put(size, Line(1, persistentMapOf(service to 1), Heap.of(key))))
    return Waiting(lines.put(size, Line(line.count + 1, line.byService.plus(service, 1), Heap.merge(line.heap, Heap.of(key)))))
  }

  /** One container of [service] fewer in the line for [size]; [waits] tells who is in it still. */
  fun minus(
    size: Resource,
    service: String,
    waits: (ContainerKey) -> Boolean,
  ): Waiting {
    val line = lines.getValue(size)
    if (line.count == 1) return Waiting(lines.remove(size))
    return Waiting(lines.put(size, Line(line.count - 1, line.byService.plus(service, -1), skipTo(line.heap, waits))))
  }

  private tailrec fun skipTo(
    heap: Heap?,
    waits: (ContainerKey) -> Boolean,
  ): Heap? = if (heap == null || waits(heap.first)) heap else skipTo(heap.rest(), waits)

  /** [count] containers wait; the [heap] holds them and, behind its first, perhaps some that do no longer. */
  private class Line(
    val count: Int,
    val byService: PersistentMap<String, Int>,
    val heap: Heap?,
  )

  private fun PersistentMap<String, Int>.plus(
    service: String,
    number: Int,
  ): PersistentMap<String, Int> {
    val count = (this[service] ?: 0) + number
    return if (count == 0) remove(service) else put(service, count)
  }

  /** A leftist heap: the way down on the right is never longer than the logarithm of its size. */
  private class Heap private constructor(
    val first: ContainerKey,
    private val height: Int,
    private val left: Heap?,
    private val right: Heap?,
  ) {
    fun rest(): Heap? = merge(left, right)

    companion object {
      fun of(key: ContainerKey) = Heap(key, 1, null, null)

      fun merge(
        a: Heap?,
        b: Heap?,
      ): Heap? =
        when {
          a == null -> b
          b == null -> a
          a.first <= b.first -> join(a.first, a.left, merge(a.right, b))
          else -> join(b.first, b.left, merge(b.right, a))
        }

      private fun join(
        first: ContainerKey,
        a: Heap?,
        b: Heap?,
      ): Heap {
        val heightA = a?.height ?: 0
        val heightB = b?.height ?: 0
        return if (heightA >= heightB) Heap(first, heightB + 1, a, b) else Heap(first, heightA + 1, b, a)
      }
    }
  }

  companion object {
    val NONE = Waiting(persistentHashMapOf())
  }
}

package knit.am.core

import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.persistentHashMapOf
import kotlinx.collections.immutable.persistentMapOf

/** The containers that wait for a grant, one [Line] per size, lowest key first. Immutable. */
internal data class Waiting private constructor(
  private val lines: PersistentMap<Resource, SizeLine>,
) {
  /** How many wait for a container of each size. */
  val counts: Map<Resource, Int>
    get() = lines.mapValues { it.value.line.size }

  val countsByService: Map<Resource, Map<String, Int>>
    get() = lines.mapValues { it.value.byService }

  val sizes: Set<Resource>
    get() = lines.keys

  /** The lowest key in the line for [size], or null. */
  fun first(size: Resource): ContainerKey? = lines[size]?.line?.first

  fun plus(
    size: Resource,
    key: ContainerKey,
  ): Waiting {
    val line = lines[size] ?: SizeLine.EMPTY
    return Waiting(lines.put(size, SizeLine(line.line + key, line.byService.plus(key.place.serviceName, 1))))
  }

  /** These and [keys] in the line for [size], in order. */
  fun plus(
    size: Resource,
    keys: List<ContainerKey>,
  ): Waiting {
    val line = lines[size] ?: SizeLine.EMPTY
    val byService = keys.groupingBy { it.place.serviceName }.eachCount()
    return Waiting(
      lines.put(size, SizeLine(line.line.plusAll(keys), byService.entries.fold(line.byService) { all, (s, n) -> all.plus(s, n) })),
    )
  }

  fun minus(
    size: Resource,
    key: ContainerKey,
  ): Waiting {
    val line = lines.getValue(size)
    if (line.line.size == 1) return Waiting(lines.remove(size))
    return Waiting(lines.put(size, SizeLine(line.line - key, line.byService.plus(key.place.serviceName, -1))))
  }

  private data class SizeLine(
    val line: Line<ContainerKey>,
    val byService: PersistentMap<String, Int>,
  ) {
    companion object {
      val EMPTY = SizeLine(Line.empty(), persistentMapOf())
    }
  }

  companion object {
    val NONE = Waiting(persistentHashMapOf())

    fun of(containers: Sequence<Container>): Waiting =
      containers
        .filter { it.state == ContainerState.REQUESTED }
        .groupBy({ it.resource }, { it.key })
        .entries
        .fold(NONE) { waiting, (size, keys) -> waiting.plus(size, keys.sorted()) }

    private fun PersistentMap<String, Int>.plus(
      service: String,
      number: Int,
    ): PersistentMap<String, Int> {
      val count = (this[service] ?: 0) + number
      return if (count == 0) remove(service) else put(service, count)
    }
  }
}

package knit.am.core

import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.persistentHashMapOf
import kotlinx.collections.immutable.persistentMapOf

/** The containers that wait for a grant, one [Line] per shape, lowest key first. Immutable. */
internal data class Waiting private constructor(
  private val lines: PersistentMap<Shape, ShapeLine>,
) {
  /** How many wait for a container of each shape. */
  val counts: Map<Shape, Int>
    get() = lines.mapValues { it.value.line.size }

  val countsByService: Map<Shape, Map<String, Int>>
    get() = lines.mapValues { it.value.byService }

  val shapes: Set<Shape>
    get() = lines.keys

  /** The lowest key in the line for [shape], or null. */
  fun first(shape: Shape): ContainerKey? = lines[shape]?.line?.first

  fun plus(
    shape: Shape,
    key: ContainerKey,
  ): Waiting {
    val line = lines[shape] ?: ShapeLine.EMPTY
    return Waiting(lines.put(shape, ShapeLine(line.line + key, line.byService.plus(key.place.serviceName, 1))))
  }

  /** These and [keys] in the line for [shape], in order. */
  fun plus(
    shape: Shape,
    keys: List<ContainerKey>,
  ): Waiting {
    val line = lines[shape] ?: ShapeLine.EMPTY
    val byService = keys.groupingBy { it.place.serviceName }.eachCount()
    return Waiting(
      lines.put(shape, ShapeLine(line.line.plusAll(keys), byService.entries.fold(line.byService) { all, (s, n) -> all.plus(s, n) })),
    )
  }

  fun minus(
    shape: Shape,
    key: ContainerKey,
  ): Waiting {
    val line = lines.getValue(shape)
    if (line.line.size == 1) return Waiting(lines.remove(shape))
    return Waiting(lines.put(shape, ShapeLine(line.line - key, line.byService.plus(key.place.serviceName, -1))))
  }

  private data class ShapeLine(
    val line: Line<ContainerKey>,
    val byService: PersistentMap<String, Int>,
  ) {
    companion object {
      val EMPTY = ShapeLine(Line.empty(), persistentMapOf())
    }
  }

  companion object {
    val NONE = Waiting(persistentHashMapOf())

    fun of(application: Application): Waiting =
      application.containers
        .filter { it.state == ContainerState.REQUESTED }
        .groupBy({ application.shapeOf(it) }, { it.key })
        .entries
        .fold(NONE) { waiting, (shape, keys) -> waiting.plus(shape, keys.sorted()) }

    private fun PersistentMap<String, Int>.plus(
      service: String,
      number: Int,
    ): PersistentMap<String, Int> {
      val count = (this[service] ?: 0) + number
      return if (count == 0) remove(service) else put(service, count)
    }
  }
}

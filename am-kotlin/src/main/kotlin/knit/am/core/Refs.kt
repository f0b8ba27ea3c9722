package knit.am.core

/**
 * Names of containers in their order, kept small: ordinals that follow one another, up or down, take 12 bytes together. So do
 * answers for [MAX_REQUESTED_CONTAINERS] of any ordinals stay below [MAX_KEPT_ANSWER_BYTES].
 */
class Refs private constructor(
  private val serviceNames: List<String>,
  /** Of each run: the place of its service in [serviceNames], the first ordinal, and how many, below 0 where they go down. */
  private val runs: IntArray,
) {
  /** About what it holds on the heap that nothing else does. */
  internal val bytes: Long
    get() = runs.size * Int.SIZE_BYTES.toLong()

  fun toList(): List<ContainerRef> =
    (runs.indices step RUN).flatMap { at ->
      val (service, first, count) = runs.slice(at until at + RUN)
      List(Math.abs(count)) { ContainerRef(serviceNames[service], if (count < 0) first - it else first + it) }
    }

  override fun equals(other: Any?): Boolean = other is Refs && serviceNames == other.serviceNames && runs.contentEquals(other.runs)

  override fun hashCode(): Int = runs.contentHashCode()

  override fun toString(): String = toList().toString()

  companion object {
    private const val RUN = 3

    fun of(containers: List<Container>): Refs {
      val services = LinkedHashMap<String, Int>()
      val runs = ArrayList<Int>()
      for (ref in containers.map { it.ref }) {
        val service = services.getOrPut(ref.serviceName) { services.size }
        val count = runs.stretched(service, ref.ordinal)
        if (count == null) runs += listOf(service, ref.ordinal, 1) else runs[runs.lastIndex] = count
      }
      return Refs(services.keys.toList(), runs.toIntArray())
    }

    /** How many the last run has with [ordinal]; null: that is not the next one of it. */
    private fun List<Int>.stretched(
      service: Int,
      ordinal: Int,
    ): Int? {
      if (isEmpty()) return null
      val (last, first, count) = takeLast(RUN)
      return when {
        last != service -> null
        count > 0 && ordinal == first + count -> count + 1
        count == 1 && ordinal == first - 1 -> -2
        count < 0 && ordinal == first + count -> count - 1
        else -> null
      }
    }
  }
}

/** Those of them that are kept, as they are now. */
internal fun Application.containers(refs: Refs): List<Container> = refs.toList().mapNotNull { container(it) }

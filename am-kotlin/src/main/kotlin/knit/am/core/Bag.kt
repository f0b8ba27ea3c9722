package knit.am.core

/**
 * Elements in their own order, each as often as it was put in: who is first is always known.
 *
 * Immutable. To put in or take out costs the logarithm of how many different ones there are; two bags of the same are equal,
 * however they came about.
 */
internal class Bag<E : Comparable<E>> private constructor(
  private val line: Line<Counted<E>>,
  val size: Int,
) {
  val first: E?
    get() = line.first?.element

  operator fun plus(element: E): Bag<E> = Bag(line.put(Counted(element, count(element) + 1)), size + 1)

  operator fun minus(element: E): Bag<E> {
    val count = count(element)
    check(count > 0) { "there is no $element" }
    return Bag(if (count == 1) line - Counted(element, 1) else line.put(Counted(element, count - 1)), size - 1)
  }

  private fun count(element: E): Int = line.find { element.compareTo(it.element) }?.count ?: 0

  override fun equals(other: Any?): Boolean = other is Bag<*> && line == other.line

  override fun hashCode(): Int = line.hashCode()

  override fun toString(): String = line.toString()

  /** Equal in order to the same element however often it is there. */
  private data class Counted<E : Comparable<E>>(
    val element: E,
    val count: Int,
  ) : Comparable<Counted<E>> {
    override fun compareTo(other: Counted<E>): Int = element.compareTo(other.element)
  }

  companion object {
    fun <E : Comparable<E>> empty(): Bag<E> = Bag(Line.empty(), 0)
  }
}

package knit.am.core

/**
 * A line of elements in their own order, whoever came when: who is first is always known.
 *
 * Immutable. To join or to leave costs the logarithm of the length, wherever in the line; what left is gone, so that two
 * lines with the same elements are equal however they came about. (kotlinx has no sorted collection that is persistent.)
 */
internal class Line<E : Comparable<E>> private constructor(
  private val root: Node<E>?,
) : Iterable<E> {
  val size: Int
    get() = root.sizeOrZero

  val first: E?
    get() {
      var node = root ?: return null
      while (true) node = node.left ?: return node.value
    }

  operator fun contains(element: E): Boolean {
    var node = root
    while (node != null) {
      val order = element.compareTo(node.value)
      if (order == 0) return true
      node = if (order < 0) node.left else node.right
    }
    return false
  }

  operator fun plus(element: E): Line<E> {
    val grown = root.plus(element)
    return if (grown === root) this else Line(grown)
  }

  operator fun minus(element: E): Line<E> {
    val left = root.minus(element)
    return if (left === root) this else Line(left)
  }

  /** This with [element] in the place of the one that is equal to it in order, if there is such a one. */
  fun put(element: E): Line<E> = Line(root.put(element))

  /** The element whose place is told by [order], which compares what is looked for with what it is given; null: there is none. */
  fun find(order: (E) -> Int): E? {
    var node = root
    while (node != null) {
      val next = order(node.value)
      if (next == 0) return node.value
      node = if (next < 0) node.left else node.right
    }
    return null
  }

  /** How many elements from the first on are so; [isBefore] is true of all up to some element, and of none after it. */
  fun countWhile(isBefore: (E) -> Boolean): Int {
    var count = 0
    var node = root
    while (node != null) {
      if (isBefore(node.value)) {
        count += node.left.sizeOrZero + 1
        node = node.right
      } else {
        node = node.left
      }
    }
    return count
  }

  /** The element with so many before it; null: there are not so many. */
  fun elementAt(position: Int): E? {
    var left = position
    var node = root
    while (node != null) {
      val before = node.left.sizeOrZero
      when {
        left < before -> {
          node = node.left
        }

        left == before -> {
          return node.value
        }

        else -> {
          left -= before + 1
          node = node.right
        }
      }
    }
    return null
  }

  /** Those at the positions [from] until [until], in order or from the last to the first. Costs what is taken. */
  fun slice(
    from: Int,
    until: Int,
    isDescending: Boolean = false,
  ): Sequence<E> =
    if (isDescending) {
      (until - 1 downTo from).asSequence().mapNotNull { elementAt(it) }
    } else {
      (from until until).asSequence().mapNotNull { elementAt(it) }
    }

  /** This with [elements], which are in order: all at once where there are none yet. */
  fun plusAll(elements: List<E>): Line<E> =
    if (root == null) Line(balanced(elements, 0, elements.size)) else elements.fold(this) { line, element -> line + element }

  override fun iterator(): Iterator<E> = iterator { yieldAllOf(root) }

  private suspend fun SequenceScope<E>.yieldAllOf(node: Node<E>?) {
    if (node == null) return
    yieldAllOf(node.left)
    yield(node.value)
    yieldAllOf(node.right)
  }

  override fun equals(other: Any?): Boolean = other is Line<*> && size == other.size && toList() == other.toList()

  override fun hashCode(): Int = toList().hashCode()

  override fun toString(): String = toList().toString()

  /** Of an AVL tree: the heights of both sides differ by one at most. */
  private class Node<E>(
    val value: E,
    val left: Node<E>?,
    val right: Node<E>?,
  ) {
    val height: Int = 1 + maxOf(left.heightOrZero, right.heightOrZero)
    val size: Int = 1 + left.sizeOrZero + right.sizeOrZero
  }

  companion object {
    private val EMPTY = Line<Nothing>(null)

    @Suppress("UNCHECKED_CAST")
    fun <E : Comparable<E>> empty(): Line<E> = EMPTY as Line<E>

    fun <E : Comparable<E>> of(elements: Iterable<E>): Line<E> = empty<E>().plusAll(elements.sorted())

    private val Node<*>?.heightOrZero: Int
      get() = this?.height ?: 0

    private val Node<*>?.sizeOrZero: Int
      get() = this?.size ?: 0

    private fun <E> balanced(
      elements: List<E>,
      from: Int,
      until: Int,
    ): Node<E>? {
      if (from == until) return null
      val middle = (from + until) ushr 1
      return Node(elements[middle], balanced(elements, from, middle), balanced(elements, middle + 1, until))
    }

    private fun <E : Comparable<E>> Node<E>?.plus(element: E): Node<E> {
      if (this == null) return Node(element, null, null)
      val order = element.compareTo(value)
      return when {
        order < 0 -> left.plus(element).let { if (it === left) this else level(value, it, right) }
        order > 0 -> right.plus(element).let { if (it === right) this else level(value, left, it) }
        else -> this
      }
    }

    private fun <E : Comparable<E>> Node<E>?.put(element: E): Node<E> {
      if (this == null) return Node(element, null, null)
      val order = element.compareTo(value)
      return when {
        order < 0 -> level(value, left.put(element), right)
        order > 0 -> level(value, left, right.put(element))
        else -> Node(element, left, right)
      }
    }

    private fun <E : Comparable<E>> Node<E>?.minus(element: E): Node<E>? {
      if (this == null) return null
      val order = element.compareTo(value)
      return when {
        order < 0 -> left.minus(element).let { if (it === left) this else level(value, it, right) }
        order > 0 -> right.minus(element).let { if (it === right) this else level(value, left, it) }
        left == null -> right
        right == null -> left
        else -> level(right.lowest(), left, right.withoutLowest())
      }
    }

    private tailrec fun <E> Node<E>.lowest(): E = if (left == null) value else left.lowest()

    private fun <E> Node<E>.withoutLowest(): Node<E>? = if (left == null) right else level(value, left.withoutLowest(), right)

    /** A node of these, whose heights may differ by two. */
    private fun <E> level(
      value: E,
      left: Node<E>?,
      right: Node<E>?,
    ): Node<E> {
      val lean = left.heightOrZero - right.heightOrZero
      return when {
        lean > 1 -> leveledLeft(value, checkNotNull(left), right)
        lean < -1 -> leveledRight(value, left, checkNotNull(right))
        else -> Node(value, left, right)
      }
    }

    private fun <E> leveledLeft(
      value: E,
      left: Node<E>,
      right: Node<E>?,
    ): Node<E> {
      val inner = left.right
      return if (inner == null || inner.height <= left.left.heightOrZero) {
        Node(left.value, left.left, Node(value, inner, right))
      } else {
        Node(inner.value, Node(left.value, left.left, inner.left), Node(value, inner.right, right))
      }
    }

    private fun <E> leveledRight(
      value: E,
      left: Node<E>?,
      right: Node<E>,
    ): Node<E> {
      val inner = right.left
      return if (inner == null || inner.height <= right.right.heightOrZero) {
        Node(right.value, Node(value, left, inner), right.right)
      } else {
        Node(inner.value, Node(value, left, inner.left), Node(right.value, inner.right, right.right))
      }
    }
  }
}

package knit.am.core.kv

/**
 * Bytes that do not change, ordered as unsigned ones: of two that begin alike the shorter comes first.
 *
 * Whoever makes one hands over the array and writes to it no more; snapshots share it, whatever its size.
 */
class Bytes(
  private val array: ByteArray,
) : Comparable<Bytes> {
  val size: Int
    get() = array.size

  /** What is handed out is the array itself, only to be read. */
  val shared: ByteArray
    get() = array

  fun startsWith(prefix: Bytes): Boolean = prefix.size <= size && (0 until prefix.size).all { array[it] == prefix.array[it] }

  /** The first that comes after all that begin so; null: none does, for this is empty or has the highest bytes only. */
  fun afterPrefix(): Bytes? {
    val last = array.indexOfLast { it != HIGHEST }
    if (last < 0) return null
    return Bytes(array.copyOf(last + 1).also { it[last]++ })
  }

  /** The first that comes after this. */
  fun next(): Bytes = Bytes(array.copyOf(size + 1))

  override fun compareTo(other: Bytes): Int {
    for (position in 0 until minOf(size, other.size)) {
      val order = (array[position].toInt() and BYTE) - (other.array[position].toInt() and BYTE)
      if (order != 0) return order
    }
    return size - other.size
  }

  override fun equals(other: Any?): Boolean = other is Bytes && array.contentEquals(other.array)

  override fun hashCode(): Int = array.contentHashCode()

  /** For people: as text where it is plain, the rest by number. */
  override fun toString(): String =
    array.take(SHOWN).joinToString("", "'", if (size > SHOWN) "…' ($size bytes)" else "'") {
      if (it in PLAIN && it != QUOTE && it != BACKSLASH) "${it.toInt().toChar()}" else "\\x%02x".format(it)
    }

  companion object {
    val EMPTY = Bytes(ByteArray(0))
    private const val BYTE = 0xff
    private const val HIGHEST = BYTE.toByte()
    private const val SHOWN = 64
    private const val QUOTE = '\''.code.toByte()
    private const val BACKSLASH = '\\'.code.toByte()
    private val PLAIN = 0x20..0x7e

    fun of(text: String) = Bytes(text.toByteArray())
  }
}

/** Keys that lie side by side: from [start] on, up to [end], which is not among them. */
data class KeyRange(
  val start: Bytes,
  /** Null: to the last there is. */
  val end: Bytes?,
) {
  val isEmpty: Boolean
    get() = end != null && start >= end

  operator fun contains(key: Bytes): Boolean = key >= start && (end == null || key < end)

  companion object {
    val ALL = KeyRange(Bytes.EMPTY, null)

    fun of(prefix: Bytes) = KeyRange(prefix, prefix.afterPrefix())

    fun only(key: Bytes) = KeyRange(key, key.next())
  }
}

package knit.am.core.kv

import knit.am.core.ContainerRef
import knit.am.core.Line
import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.persistentHashMapOf
import java.time.Duration
import java.time.Instant

/** A key with its value. In order of the keys. */
data class KeyValue(
  val key: Bytes,
  val value: Bytes,
  /** The number of the turn that created it. */
  val createRevision: Long,
  /** The number of the turn that last wrote it. */
  val modifyRevision: Long,
  /** How often it was written since, from 1. */
  val version: Long = 1,
  /** The container it lives and dies with. */
  val owner: ContainerRef? = null,
  /** The lease it lives and dies with; 0: none. */
  val leaseId: Long = 0,
) : Comparable<KeyValue> {
  /** What it counts in the store. */
  val bytes: Long
    get() = KEY_BYTES + key.size + value.size

  override fun compareTo(other: KeyValue): Int = key.compareTo(other.key)

  /** Without the value, which may be secret. */
  override fun toString(): String = "KeyValue($key, ${value.size} bytes, $createRevision, $modifyRevision, $version, $owner, $leaseId)"

  companion object {
    /** What a key takes beside its own bytes and its value's: records, nodes and indexes. */
    const val KEY_BYTES = 128L
  }
}

/** A time to live that keys can name: they go when it has not been kept for so long. */
data class KeyLease(
  val id: Long,
  val timeToLive: Duration,
  val expiryTime: Instant,
)

/**
 * The keys of the store at one moment, in order: immutable, and sharing with those before and after it what is the same.
 *
 * Knows nothing of containers and leases but the names that keys give. To read or write one key costs the logarithm of how many
 * there are; so does to count a range, however long.
 */
class KeyValues internal constructor(
  private val line: Line<KeyValue>,
  /** What all keys count. */
  val bytes: Long,
  private val owned: PersistentMap<ContainerRef, Line<Bytes>>,
  private val leased: PersistentMap<Long, Line<Bytes>>,
) {
  val size: Int
    get() = line.size

  /** Whether any key belongs to a container. */
  internal val hasOwners: Boolean
    get() = owned.isNotEmpty()

  operator fun get(key: Bytes): KeyValue? = line.find { key.compareTo(it.key) }

  /** How many keys are in [range]. */
  fun count(range: KeyRange): Int = positions(range).let { it.last - it.first + 1 }

  /** The keys in [range], in order or from the last to the first, after the key [after] in that order. */
  fun list(
    range: KeyRange = KeyRange.ALL,
    isDescending: Boolean = false,
    after: Bytes? = null,
  ): Sequence<KeyValue> {
    val rest =
      when {
        after == null -> range
        isDescending -> range.copy(end = if (range.end == null || after < range.end) after else range.end)
        else -> range.copy(start = maxOf(range.start, after.next()))
      }
    val positions = positions(rest)
    return line.slice(positions.first, positions.last + 1, isDescending)
  }

  private fun positions(range: KeyRange): IntRange {
    if (range.isEmpty) return IntRange.EMPTY
    val from = line.countWhile { it.key < range.start }
    val until = if (range.end == null) size else line.countWhile { it.key < range.end }
    return from until until
  }

  /** The keys of a container, in order. */
  fun ownedBy(owner: ContainerRef): List<Bytes> = owned[owner]?.toList().orEmpty()

  /** The keys of a lease, in order. */
  fun leasedBy(leaseId: Long): List<Bytes> = leased[leaseId]?.toList().orEmpty()

  /** This with [new], instead of what is there by its key. */
  internal fun plus(new: KeyValue): KeyValues {
    val old = this[new.key]
    return KeyValues(
      line.put(new),
      bytes + new.bytes - (old?.bytes ?: 0),
      owned.moved(new.key, old?.owner, new.owner),
      leased.moved(new.key, old?.leaseOrNull, new.leaseOrNull),
    )
  }

  /** This without [key]; the same where it is not there. */
  internal fun minus(key: Bytes): KeyValues {
    val old = this[key] ?: return this
    return KeyValues(
      line - old,
      bytes - old.bytes,
      owned.moved(key, old.owner, null),
      leased.moved(key, old.leaseOrNull, null),
    )
  }

  /** As equal as two can be: in every key, and in all that follows from them. */
  override fun equals(other: Any?): Boolean =
    other is KeyValues && bytes == other.bytes && line == other.line && owned == other.owned && leased == other.leased

  override fun hashCode(): Int = line.hashCode()

  override fun toString(): String = "KeyValues($size keys, $bytes bytes)"

  companion object {
    internal val NONE = KeyValues(Line.empty(), 0, persistentHashMapOf(), persistentHashMapOf())

    private val KeyValue.leaseOrNull: Long?
      get() = leaseId.takeIf { it != 0L }

    private fun <K : Any> PersistentMap<K, Line<Bytes>>.moved(
      key: Bytes,
      old: K?,
      new: K?,
    ): PersistentMap<K, Line<Bytes>> {
      if (old == new) return this
      var moved = this
      if (old != null) {
        val rest = moved.getValue(old) - key
        moved = if (rest.size == 0) moved.remove(old) else moved.put(old, rest)
      }
      if (new != null) moved = moved.put(new, (moved[new] ?: Line.empty()) + key)
      return moved
    }
  }
}

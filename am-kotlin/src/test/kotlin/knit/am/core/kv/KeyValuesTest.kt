package knit.am.core.kv

import io.kotest.property.Arb
import io.kotest.property.arbitrary.bind
import io.kotest.property.arbitrary.boolean
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import io.kotest.property.arbitrary.map
import io.kotest.property.arbitrary.of
import io.kotest.property.arbitrary.orNull
import knit.am.core.ContainerRef
import knit.am.forAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.util.TreeMap

class KeyValuesTest {
  private fun bytes(vararg numbers: Int) = Bytes(ByteArray(numbers.size) { numbers[it].toByte() })

  @Test
  fun keysAreOrderedAsUnsignedBytesTheShorterFirst() {
    val inOrder =
      listOf(
        bytes(),
        bytes(0),
        bytes(0, 0),
        bytes(0, 0xff),
        bytes(1),
        bytes(0x7f),
        bytes(0x80),
        bytes(0xff),
        bytes(0xff, 0),
        bytes(0xff, 0xff),
      )
    assertEquals(inOrder, inOrder.shuffled().sorted())
    for ((first, second) in inOrder.zipWithNext()) assertTrue(first < second && second > first, "$first, $second")
    assertEquals(bytes(1, 0), bytes(1).next())
  }

  @Test
  fun aPrefixEndsWhereNoKeyBeginsSo() {
    val table =
      listOf(
        bytes(1) to bytes(2),
        bytes(1, 0xff) to bytes(2),
        bytes(0x7f) to bytes(0x80),
        bytes(0xfe, 0xff, 0xff) to bytes(0xff),
        bytes() to null,
        bytes(0xff) to null,
        bytes(0xff, 0xff) to null,
      )
    for ((prefix, end) in table) assertEquals(end, prefix.afterPrefix(), "$prefix")
  }

  @Test
  fun whatIsShownOfBytesIsPlain() {
    assertEquals("'workers/1'", Bytes.of("workers/1").toString())
    assertEquals("'\\x27\\x5c\\xff\\x0a'", bytes(0x27, 0x5c, 0xff, 0x0a).toString())
    assertEquals("'${"x".repeat(64)}…' (1000 bytes)", Bytes.of("x".repeat(1_000)).toString())
  }

  private sealed interface Step

  private data class Write(
    val keyValue: KeyValue,
  ) : Step

  private data class Remove(
    val key: Bytes,
  ) : Step

  private val someBytes: Arb<Bytes> get() =
    Arb.list(Arb.of(0, 1, 0x7f, 0x80, 0xfe, 0xff), 0..3).map { bytes(*it.toIntArray()) }

  private val owners: Arb<ContainerRef?> get() = Arb.bind(Arb.of("a", "b"), Arb.int(0..1), ::ContainerRef).orNull(0.5)

  private val steps: Arb<Step> get() =
    Arb.bind(someBytes, Arb.int(0..9), owners, Arb.int(0..2), Arb.int(0..2)) { key, size, owner, lease, kind ->
      if (kind == 0) Remove(key) else Write(KeyValue(key, Bytes(ByteArray(size)), 1, 2, 3, owner, lease.toLong()))
    }

  private data class Look(
    val start: Bytes,
    val end: Bytes?,
    val after: Bytes?,
    val isDescending: Boolean,
  )

  private val looks: Arb<Look> get() = Arb.bind(someBytes, someBytes.orNull(0.3), someBytes.orNull(0.5), Arb.boolean(), ::Look)

  private data class Sample(
    val steps: List<Step>,
    val looks: List<Look>,
    val prefix: Bytes,
  )

  /** Whatever is written, removed and asked for, a sorted map says the same. */
  @Test
  fun theyAreASortedMapWithIndexes() =
    forAll(2_000, Arb.bind(Arb.list(steps, 0..60), Arb.list(looks, 1..6), someBytes, ::Sample)) { sample ->
      val model = TreeMap<Bytes, KeyValue>()
      var keyValues = KeyValues.NONE
      for (step in sample.steps) {
        val before = keyValues
        val listed = before.list().toList()
        when (step) {
          is Write -> {
            model[step.keyValue.key] = step.keyValue
            keyValues = keyValues.plus(step.keyValue)
          }

          is Remove -> {
            model.remove(step.key)
            keyValues = keyValues.minus(step.key)
          }
        }
        assertEquals(listed, before.list().toList(), "the one before is as it was")
      }
      assertEquals(model.values.toList(), keyValues.list().toList())
      assertEquals(model.size, keyValues.size)
      assertEquals(model.values.sumOf { 128L + it.key.size + it.value.size }, keyValues.bytes)
      for (key in model.keys + sample.prefix) assertEquals(model[key], keyValues[key])
      for (owner in listOf(ContainerRef("a", 0), ContainerRef("a", 1), ContainerRef("b", 0), ContainerRef("b", 1), ContainerRef("c", 0))) {
        assertEquals(model.values.filter { it.owner == owner }.map { it.key }, keyValues.ownedBy(owner))
      }
      for (lease in 1L..3L) assertEquals(model.values.filter { it.leaseId == lease }.map { it.key }, keyValues.leasedBy(lease))
      assertTrue(keyValues.leasedBy(0).isEmpty(), "0 is no lease")
      assertEquals(model.values.any { it.owner != null }, keyValues.hasOwners)
      assertEquals(model.values.fold(KeyValues.NONE) { all, each -> all.plus(each) }, keyValues)

      val isPrefixed = model.values.filter { it.key.startsWith(sample.prefix) }
      assertEquals(isPrefixed, keyValues.list(KeyRange.of(sample.prefix)).toList())
      assertEquals(isPrefixed.size, keyValues.count(KeyRange.of(sample.prefix)))
      for (look in sample.looks) {
        val inRange = model.values.filter { it.key >= look.start && (look.end == null || it.key < look.end) }
        val range = KeyRange(look.start, look.end)
        assertEquals(inRange.size, keyValues.count(range))
        val ordered = if (look.isDescending) inRange.reversed() else inRange
        val left = ordered.filter { look.after == null || if (look.isDescending) it.key < look.after else it.key > look.after }
        assertEquals(left, keyValues.list(range, look.isDescending, look.after).toList(), "$look")
      }
    }

  @Test
  fun onlyOneKeyIsInTheRangeOfOne() {
    val keyValues =
      listOf(
        bytes(1),
        bytes(1, 0),
        bytes(0, 0xff),
      ).fold(KeyValues.NONE) { all, key -> all.plus(KeyValue(key, Bytes.EMPTY, 1, 1)) }
    assertEquals(listOf(bytes(1)), keyValues.list(KeyRange.only(bytes(1))).map { it.key }.toList())
    assertNull(keyValues[bytes(2)])
  }
}

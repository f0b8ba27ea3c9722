package knit.am.core

import io.kotest.property.Arb
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import knit.am.forAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LineTest {
  /** Numbers of 0 and more join the line, those below leave it: as a sorted set would have it. */
  @Test
  fun itIsASortedSetWhoeverComesAndGoes() =
    forAll(1_000, Arb.list(Arb.int(-30..30), 0..120)) { steps ->
      var line = Line.of(steps.filter { it > 25 }.distinct())
      val model = steps.filter { it > 25 }.toSortedSet()
      for (step in steps) {
        val number = if (step < 0) -step - 1 else step
        val before = line
        val elements = before.toList()
        line = if (step < 0) line - number else line + number
        assertEquals(elements, before.toList(), "the one before is as it was")
        if (if (step < 0) !model.remove(number) else !model.add(number)) assertSame(before, line)
        assertEquals(model.toList(), line.toList())
        assertEquals(model.size, line.size)
        assertEquals(model.firstOrNull(), line.first)
        assertEquals(number in model, number in line)
        assertEquals(Line.of(model), line)
        assertEquals(model.count { it < 7 }, line.countWhile { it < 7 })
        assertEquals(model.find { it == number }, line.find { number.compareTo(it) })
        assertEquals(model.toList().drop(2).take(3), line.slice(2, 5).toList())
        assertEquals(
          model
            .toList()
            .drop(2)
            .take(3)
            .reversed(),
          line.slice(2, 5, isDescending = true).toList(),
        )
        assertEquals(model.toList(), (0..model.size).mapNotNull { line.elementAt(it) })
      }
    }

  private data class Named(
    val number: Int,
    val name: String,
  ) : Comparable<Named> {
    override fun compareTo(other: Named): Int = number.compareTo(other.number)
  }

  @Test
  fun whatIsPutTakesThePlaceOfItsEqual() {
    val line = Line.of((1..20).map { Named(it, "old") })
    val changed = (5..25).fold(line) { before, number -> before.put(Named(number, "new")) }
    assertEquals((1..4).map { Named(it, "old") } + (5..25).map { Named(it, "new") }, changed.toList())
    assertEquals(25, changed.size)
    assertEquals((1..20).map { Named(it, "old") }, line.toList(), "the one before is as it was")
  }

  @Test
  fun aLineOfManyIsFlatHoweverTheyCame() {
    val number = 100_000
    val joined = (0 until number).fold(Line.empty<Int>()) { line, element -> line + element }
    val atOnce = Line.empty<Int>().plusAll((0 until number).toList())
    assertEquals(atOnce, joined)
    // A tree that leaned to one side would be as deep as the line is long, and overflow the stack.
    val half = (0 until number step 2).fold(joined) { line, element -> line - element }
    assertEquals(number / 2, half.size)
    assertEquals(1, half.first)
    assertFalse(0 in half)
    assertTrue(number - 1 in half)
    assertEquals((1 until number step 2).toList(), half.toList())
  }
}

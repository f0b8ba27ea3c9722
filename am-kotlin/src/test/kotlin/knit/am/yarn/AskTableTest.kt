package knit.am.yarn

import knit.am.core.LARGE
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.Shape
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class AskTableTest {
  private var now = 0L
  private val table = AskTable { now }
  private val small = Shape(SMALL)
  private val large = Shape(LARGE)

  private fun named(
    total: Int,
    vararg nodes: Pair<String, Int>,
  ) = NamedCounts(total, mapOf(*nodes), if (nodes.isEmpty()) emptyMap() else mapOf("/rack" to total))

  /** Sends what is to be sent, and returns it by name. */
  private fun send(vararg wanted: Pair<Shape, NamedCounts>): Map<Pair<Shape, String>, Int> {
    val difference = table.difference(mapOf(*wanted))
    table.accepted(difference.asks)
    return difference.asks.associate { (it.shape to it.name) to it.count }
  }

  private fun priorityOf(shape: Shape) =
    table
      .difference(mapOf(shape to NamedCounts(1_000)))
      .asks
      .first { it.shape == shape }
      .priority

  @Test
  fun onlyDifferencesAreSent() {
    assertEquals(
      mapOf((small to "n1") to 2, (small to "/rack") to 2, (small to "*") to 2),
      send(small to named(2, "n1" to 2)),
    )
    assertEquals(emptyMap<Any, Any>(), send(small to named(2, "n1" to 2)))
    assertEquals(
      mapOf((small to "n1") to 1, (small to "n2") to 1),
      send(small to named(2, "n1" to 1, "n2" to 1)),
    )
    assertEquals(
      mapOf((small to "n1") to 0, (small to "n2") to 0, (small to "/rack") to 0, (small to "*") to 0),
      send(),
    )
  }

  @Test
  fun whatTheRmHasCountedDownItselfIsNotSent() {
    send(small to named(3, "n1" to 2, "n2" to 1))
    assertEquals(small, table.granted(priorityOf(small), SMALL, "n1", "/rack"))
    table.accepted(emptyList())
    assertEquals(emptyMap<Any, Any>(), send(small to named(2, "n1" to 1, "n2" to 1)))
  }

  @Test
  fun whatIsAskedForInTheHeartbeatThatBringsAGrantIsNotCountedDown() {
    send(small to named(1, "n1" to 1))
    val asks = table.difference(mapOf(small to named(3, "n1" to 3))).asks
    table.granted(priorityOf(small), SMALL, "n1", "/rack")
    table.accepted(asks)
    assertEquals(3, asks.first { it.name == "*" }.count)
    assertEquals(
      mapOf((small to "n1") to 2, (small to "/rack") to 2, (small to "*") to 2),
      send(small to named(2, "n1" to 2)),
      "the RM had counted its own down before it read these",
    )
  }

  @Test
  fun whatRestsOnAGuessIsToldAnewIfNothingComesOfIt() {
    send(small to NamedCounts(2))
    table.granted(priorityOf(small), SMALL, "n7", "/rack")
    assertEquals(emptyMap<Any, Any>(), send(small to NamedCounts(1)))
    now += AskTable.RESEND_MILLIS
    assertEquals(mapOf((small to "*") to 1), send(small to NamedCounts(1)))
    now += AskTable.RESEND_MILLIS
    assertEquals(emptyMap<Any, Any>(), send(small to NamedCounts(1)), "it is no guess any more")
  }

  @Test
  fun shapesHavePrioritiesOfTheirOwnTheSmallerOnesBefore() {
    send(large to NamedCounts(1), small to NamedCounts(1))
    assertTrue(priorityOf(small) < priorityOf(large))
    val huge = Shape(Resource(Long.MAX_VALUE, Int.MAX_VALUE))
    assertTrue(priorityOf(huge) in priorityOf(large) + 1..AskTable.MAX_PRIORITIES)
    assertEquals(small, table.granted(priorityOf(small), SMALL, "n1", null))
  }

  @Test
  fun aGrantThatIsTooSmallForWhatItsPriorityStandsForAnswersNothing() {
    send(large to NamedCounts(1))
    assertNull(table.granted(priorityOf(large), SMALL, "n1", null))
    assertEquals(mapOf((large to "*") to 1), send(large to NamedCounts(1)), "the RM has counted it down")
    assertNull(table.granted(99, LARGE, "n1", null))
  }

  @Test
  fun aRefusedHeartbeatMakesAllInItSuspectsThatGoOutAlone() {
    val wanted = mapOf(small to NamedCounts(1), large to NamedCounts(2))
    assertNull(table.refused(table.difference(wanted).asks), "it may be either")
    val first = table.difference(wanted)
    assertEquals(listOf(small), first.asks.map { it.shape })
    assertFalse(first.isAll)
    table.accepted(first.asks)
    val second = table.difference(wanted)
    assertEquals(listOf(large), second.asks.map { it.shape })
    assertEquals(large, table.refused(second.asks))
    assertEquals(
      emptyList<Ask>(),
      table.difference(mapOf(small to NamedCounts(1))).asks,
      "of what was never accepted nothing is taken back",
    )
  }

  @Test
  fun aSuspectIsTriedAloneAgainAndForgivenOnceItIsAccepted() {
    table.refused(table.difference(mapOf(large to NamedCounts(1))).asks)
    val both = mapOf(small to NamedCounts(1), large to NamedCounts(1))
    assertEquals(listOf(large), table.difference(both).asks.map { it.shape })
    table.accepted(table.difference(both).asks)
    assertEquals(listOf(small), table.difference(both).asks.map { it.shape })
    table.accepted(table.difference(both).asks)
    assertEquals(2, table.difference(both.mapValues { NamedCounts(5) }).asks.size, "together again")
  }

  @Test
  fun anRmThatHasForgottenIsToldEverything() {
    send(small to named(1, "n1" to 1))
    table.forget()
    assertEquals(mapOf((small to "n1") to 1, (small to "/rack") to 1, (small to "*") to 1), send(small to named(1, "n1" to 1)))
  }

  @Test
  fun inDoubtEverythingIsToldAnew() {
    send(small to named(2, "n1" to 1, "n2" to 1))
    send(small to named(1, "n1" to 1))
    table.doubt()
    assertEquals(
      mapOf((small to "n1") to 1, (small to "/rack") to 1, (small to "*") to 1),
      send(small to named(1, "n1" to 1)),
    )
  }

  @Test
  fun namesThatHaveHadTheirGrantsAreForgottenNowAndThen() {
    var most = 0
    for (number in 0 until 5_000) {
      send(small to named(2, "m" to 1, "n$number" to 1))
      table.granted(priorityOf(small), SMALL, "n$number", "/rack")
      val told = send(small to named(1, "m" to 1))
      most = maxOf(most, told.size)
    }
    assertTrue(most in 3..AskTable.MAX_NAMES + 10, "$most in one heartbeat")
  }

  @Test
  fun aThousandSizesOneAfterTheOtherUseFewPriorities() {
    val priorities = HashSet<Int>()
    for (mib in 1L..1_000L) {
      val wanted = mapOf(Shape(Resource(mib, 1)) to NamedCounts(1))
      var beats = 0
      do {
        val difference = table.difference(wanted)
        table.accepted(difference.asks)
        difference.asks.mapTo(priorities) { it.priority }
        now += 50
        assertTrue(beats++ < 5, "$mib MiB is never asked for")
      } while (!difference.isAll)
    }
    assertTrue(priorities.size <= 2 * AskTable.MAX_ROWS, "${priorities.size} priorities")
    assertTrue(priorities.all { it in 1..AskTable.MAX_PRIORITIES })
  }

  @Test
  fun whatFewNodesHaveComesAfterWhatAllHave() {
    val gpu = Shape(SMALL.copy(others = mapOf("yarn.io/gpu" to 1)))
    val huge = Shape(Resource(1L shl 40, 1 shl 20))
    assertTrue(priorityOf(gpu) > priorityOf(large))
    assertTrue(priorityOf(huge) in 1 until priorityOf(gpu))
  }

  @Test
  fun whatMayBeNowhereElseIsToldSoForAllNamesButThoseThatWereNamed() {
    val strict = NamedCounts(2, mapOf("n1" to 2), mapOf("/rack" to 2, "/whole" to 2), onlyRacks = setOf("/whole"))
    val asks = table.difference(mapOf(small to strict)).asks
    assertEquals(mapOf("n1" to true, "/rack" to false, "/whole" to true, "*" to false), asks.associate { it.name to it.isRelaxed })
    table.accepted(asks)
    assertEquals(emptyMap<Any, Any>(), send(small to strict))
    val relaxed = table.difference(mapOf(small to strict.copy(onlyRacks = null))).asks
    assertEquals(setOf("n1", "/rack", "/whole", "*"), relaxed.mapTo(HashSet()) { it.name }, "all is told anew")
    assertTrue(relaxed.all { it.isRelaxed })
  }
}

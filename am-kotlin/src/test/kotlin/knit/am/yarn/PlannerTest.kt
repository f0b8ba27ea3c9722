package knit.am.yarn

import io.kotest.property.Arb
import io.kotest.property.arbitrary.bind
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import knit.am.core.LARGE
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.forAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

internal fun room(
  number: Int,
  memoryMib: Long = 8192,
  vcores: Int = 8,
) = NodeRoom("node$number:8041", "node$number", "/rack", Resource(memoryMib, vcores))

class PlannerTest {
  private val planner = Planner(countsVcores = false)

  private fun List<Ask>.perNode() = filterNot { it.isWide }.groupingBy { it.nodes.single().name }.eachCount()

  @Test
  fun containersAreSpreadInProportionToWhatIsFree() {
    val table =
      listOf(
        // free MiB on nodes 1, 2, 3; wanted; named
        listOf(8192L, 8192L, 8192L) to 6 to listOf(2, 2, 2),
        listOf(8192L, 4096L, 0L) to 6 to listOf(4, 2, 0),
        listOf(1024L, 512L, 256L) to 7 to listOf(4, 2, 1),
        listOf(100L, 8192L, 300L) to 3 to listOf(0, 3, 0),
      )
    for ((given, expected) in table) {
      val (free, wanted) = given
      val asks = planner.plan(mapOf(SMALL to wanted), emptyList(), free.mapIndexed { index, mib -> room(index + 1, mib) }, 0)
      assertEquals(expected, (1..3).map { asks.perNode()["node$it"] ?: 0 }, "$free, $wanted wanted")
    }
  }

  @Test
  fun whatHasNoRoomNamesEveryNode() {
    val asks = planner.plan(mapOf(SMALL to 5), emptyList(), listOf(room(1, 512), room(2, 256)), 0)
    assertEquals(3, asks.count { !it.isWide })
    assertTrue(asks.filter { it.isWide }.all { ask -> ask.nodes.map { it.name } == listOf("node1", "node2") })
  }

  @Test
  fun withoutKnowledgeOfNodesNoneIsNamed() {
    val asks = planner.plan(mapOf(SMALL to 2), emptyList(), null, 0)
    assertEquals(listOf(emptyList<NodeRoom>(), emptyList()), asks.map { it.nodes })
    assertEquals(asks, planner.plan(mapOf(SMALL to 2), asks, null, 60_000), "and nothing is asked for anew")
  }

  @Test
  fun whatIsOpenForLongerThanANodesHeartbeatIsAskedForEverywhere() {
    val nodes = listOf(room(1), room(2))
    val first = planner.plan(mapOf(SMALL to 2), emptyList(), nodes, 0)
    assertEquals(first, planner.plan(mapOf(SMALL to 2), first, nodes, Planner.WIDEN_AFTER_MILLIS - 1))
    val wide = planner.plan(mapOf(SMALL to 2), first, nodes, Planner.WIDEN_AFTER_MILLIS)
    assertTrue(wide.all { it.isWide && it.nodes.size == 2 })
    assertEquals(wide, planner.plan(mapOf(SMALL to 2), wide, nodes, 60_000), "and once only")
  }

  @Test
  fun anAskForANodeThatIsGoneIsMadeAnew() {
    val first = planner.plan(mapOf(SMALL to 2), emptyList(), listOf(room(1), room(2)), 0)
    val next = planner.plan(mapOf(SMALL to 2), first, listOf(room(2)), 10)
    assertTrue(next.all { ask -> ask.nodes.map { it.name } == listOf("node2") })
    assertTrue(next.any { it in first }, "the other stays")
  }

  @Test
  fun whatIsNoLongerWantedIsNoLongerAskedFor() {
    val first = planner.plan(mapOf(SMALL to 5, LARGE to 1), emptyList(), listOf(room(1)), 0)
    val next = planner.plan(mapOf(SMALL to 2), first, listOf(room(1)), 10)
    assertEquals(first.take(2), next)
  }

  @Test
  fun vcoresCountOnlyWhereTheSchedulerCountsThem() {
    val nodes = listOf(room(1, vcores = 1), room(2, vcores = 3))
    assertEquals(mapOf("node1" to 2, "node2" to 2), planner.plan(mapOf(SMALL to 4), emptyList(), nodes, 0).perNode())
    assertEquals(mapOf("node1" to 1, "node2" to 3), Planner(countsVcores = true).plan(mapOf(SMALL to 4), emptyList(), nodes, 0).perNode())
  }

  data class Plans(
    val freeMib: List<Int>,
    val small: Int,
    val large: Int,
    val laterMillis: Int,
    val smallLater: Int,
  )

  @Test
  fun exactlyWhatIsWantedIsAskedForAndNoNodeIsPromisedTwice() {
    val plans = Arb.bind(Arb.list(Arb.int(0..20_000), 0..8), Arb.int(0..200), Arb.int(0..50), Arb.int(0..3_000), Arb.int(0..200), ::Plans)
    forAll(1_000, plans) { (freeMib, small, large, laterMillis, smallLater) ->
      val nodes = freeMib.mapIndexed { index, mib -> room(index, mib.toLong()) }
      val wanted = mapOf(SMALL to small, LARGE to large).filterValues { it > 0 }
      val wantedLater = mapOf(SMALL to smallLater).filterValues { it > 0 }
      val first = planner.plan(wanted, emptyList(), nodes, 0)
      val second = planner.plan(wantedLater, first, nodes.drop(1), laterMillis.toLong())
      for ((asks, want) in listOf(first to wanted, second to wantedLater)) {
        assertEquals(want, asks.groupingBy { it.resource }.eachCount())
        val promised = asks.filterNot { it.isWide }.groupBy { it.nodes.single() }
        promised.forEach { (node, there) -> assertTrue(there.sumOf { it.resource.memoryMib } <= node.free.memoryMib) }
      }
    }
  }
}

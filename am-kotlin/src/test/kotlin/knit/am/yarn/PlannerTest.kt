package knit.am.yarn

import io.kotest.property.Arb
import io.kotest.property.arbitrary.bind
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import knit.am.core.LARGE
import knit.am.core.SMALL
import knit.am.core.Shape
import knit.am.forAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class PlannerTest {
  private val planner = Planner(countsVcores = false)
  private val small = Shape(SMALL)
  private val large = Shape(LARGE)

  private fun plan(
    wanted: Int,
    nodes: List<NodeRoom>?,
    nowMillis: Long = 0,
    generation: Long = 1,
    planner: Planner = this.planner,
  ): NamedCounts = planner.plan(mapOf(small to wanted), { among(nodes, generation) }, nowMillis).getValue(small)

  private fun among(
    nodes: List<NodeRoom>?,
    generation: Long = 1,
  ): Candidates = nodes?.let { Candidates.Preferred(PreferredNodes(it, generation)) } ?: Candidates.Unknown

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
      val counts = plan(wanted, free.mapIndexed { index, mib -> room(index + 1, mib) }, planner = Planner(countsVcores = false))
      assertEquals(expected, (1..3).map { counts.byNode["node$it"] ?: 0 }, "$free, $wanted wanted")
      assertEquals(wanted, counts.total)
      assertEquals(mapOf("/rack" to wanted), counts.byRack, "the RM counts a rack down with its nodes")
    }
  }

  @Test
  fun whatHasNoRoomNamesEveryNode() {
    val counts = plan(5, listOf(room(1, 512), room(2, 256)))
    assertEquals(NamedCounts(5, mapOf("node1" to 2 + 2, "node2" to 1 + 2), mapOf("/rack" to 5)), counts)
  }

  @Test
  fun withoutKnowledgeOfNodesNoneIsNamed() {
    assertEquals(NamedCounts(2), plan(2, null))
    assertEquals(NamedCounts(2), plan(2, null, 60_000))
  }

  @Test
  fun aNodeWithoutARackIsNotNamed() {
    assertEquals(NamedCounts(2), plan(2, listOf(room(1).copy(rack = ""))))
  }

  @Test
  fun whatIsOpenForLongerThanANodesHeartbeatIsAskedForEverywhere() {
    val nodes = listOf(room(1), room(2))
    val first = plan(2, nodes)
    assertEquals(mapOf("node1" to 1, "node2" to 1), first.byNode)
    assertEquals(first, plan(2, nodes, Planner.WIDEN_AFTER_MILLIS - 1))
    val wide = plan(2, nodes, Planner.WIDEN_AFTER_MILLIS)
    assertEquals(mapOf("node1" to 2, "node2" to 2), wide.byNode)
    assertEquals(wide, plan(2, nodes, 60_000), "and once only")
  }

  @Test
  fun anAskForANodeThatIsGoneIsMadeAnew() {
    plan(2, listOf(room(1), room(2)))
    assertEquals(mapOf("node2" to 2), plan(2, listOf(room(2)), 10, generation = 2).byNode)
  }

  @Test
  fun ofWhatIsNoLongerWantedTheLongestWaitingStay() {
    plan(2, listOf(room(1)))
    plan(5, listOf(room(2), room(1, 0)), 200)
    assertEquals(mapOf("node1" to 2, "node2" to 1), plan(3, listOf(room(2), room(1, 0)), 300).byNode)
    assertEquals(emptyMap<Shape, NamedCounts>(), planner.plan(emptyMap(), { among(listOf(room(2))) }, 400))
  }

  @Test
  fun aGrantTakesTheAskThatNamedItsNode() {
    val nodes = listOf(room(1), room(2))
    plan(2, nodes)
    planner.granted(small, "node2:8041")
    assertEquals(NamedCounts(1, mapOf("node1" to 1), mapOf("/rack" to 1)), plan(1, nodes, 10))
  }

  @Test
  fun aGrantWhereNothingWasNamedTakesAWideAskOrAnyOther() {
    plan(3, listOf(room(1, 256), room(2, 256)))
    planner.granted(small, "node9:8041")
    assertEquals(mapOf("node1" to 1, "node2" to 1), plan(2, listOf(room(1, 256), room(2, 256)), 10).byNode)
    planner.granted(small, "node9:8041")
    assertEquals(1, plan(1, listOf(room(1, 256), room(2, 256)), 20).byNode.size)
  }

  @Test
  fun vcoresCountOnlyWhereTheSchedulerCountsThem() {
    val nodes = listOf(room(1, vcores = 1), room(2, vcores = 3))
    assertEquals(mapOf("node1" to 2, "node2" to 2), plan(4, nodes).byNode)
    assertEquals(mapOf("node1" to 1, "node2" to 3), plan(4, nodes, planner = Planner(countsVcores = true)).byNode)
  }

  @Test
  fun tenThousandContainersOnFiveHundredNodesAreAFewHundredNumbers() {
    val nodes = List(500) { room(it, memoryMib = 8 * SMALL.memoryMib).copy(rack = "/rack${it % 100}") }
    // Names, not containers: with one request for each container and node it would be five million.
    var nowMillis = 0L
    repeat(100) {
      val counts = plan(10_000, nodes, nowMillis, generation = nowMillis / 1_000)
      assertEquals(10_000, counts.total)
      assertEquals(Planner.MAX_NAMED_NODES, counts.byNode.size)
      assertTrue(counts.byRack.size <= Planner.MAX_NAMED_RACKS + 1, "${counts.byRack.size} racks")
      nowMillis += 50
    }
  }

  @Test
  fun moreShapesThanOneShareTheRoom() {
    val counts =
      among(listOf(room(1, LARGE.memoryMib + 512), room(2, 512))).let { nodes ->
        planner.plan(mapOf(small to 2, large to 1), { nodes }, 0)
      }
    assertEquals(1, counts.getValue(large).byNode["node1"])
    assertEquals(3, counts.values.sumOf { it.byNode.values.sum() }, "$counts")
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
    val plans = Arb.bind(Arb.list(Arb.int(0..20_000), 0..8), Arb.int(0..200), Arb.int(0..50), Arb.int(0..1_100), Arb.int(0..200), ::Plans)
    forAll(1_000, plans) { (freeMib, smallCount, largeCount, laterMillis, smallLater) ->
      val planner = Planner(countsVcores = false)
      val nodes = freeMib.mapIndexed { index, mib -> room(index, mib.toLong()) }
      val wanted = mapOf(small to smallCount, large to largeCount).filterValues { it > 0 }
      val wantedLater = mapOf(small to smallLater).filterValues { it > 0 }
      val first = among(nodes).let { all -> planner.plan(wanted, { all }, 0) }
      val second = among(nodes.drop(1), 2).let { rest -> planner.plan(wantedLater, { rest }, laterMillis.toLong()) }
      for ((counts, want, named) in listOf(Triple(first, wanted, nodes), Triple(second, wantedLater, nodes.drop(1)))) {
        assertEquals(want, counts.mapValues { it.value.total })
        if (named.size < 2) continue
        for (node in named) {
          val promised = counts.entries.sumOf { (shape, of) -> shape.resource.memoryMib * of.promisedOn(node, named.size) }
          assertTrue(promised <= node.free.memoryMib, "$node: $promised MiB promised")
        }
      }
    }
  }

  /** Without those that name every node, which is no promise. */
  private fun NamedCounts.promisedOn(
    node: NodeRoom,
    nodeCount: Int,
  ): Int = (byNode[node.name] ?: 0) - (byNode.values.sum() - total) / (nodeCount - 1)

  @Test
  fun sharesAreThoseThatAreDealtOutOneByOne() {
    forAll(300, Arb.bind(Arb.list(Arb.int(0..30), 1..20), Arb.int(1..400), ::Pair)) { (rooms, count) ->
      val nodes = rooms.mapIndexed { index, room -> room(index + 10, room * SMALL.memoryMib) }
      val counts = Planner(countsVcores = false).plan(mapOf(small to count), { among(nodes) }, 0).getValue(small)
      val dealt = nodes.associate { it.name to 0 }.toMutableMap()
      repeat(minOf(count, rooms.sum())) {
        val best =
          nodes
            .filter { dealt.getValue(it.name) < it.free.memoryMib / SMALL.memoryMib }
            .maxWith(
              compareBy<NodeRoom> {
                it.free.memoryMib.toDouble() / SMALL.memoryMib / (dealt.getValue(it.name) + 1)
              }.thenByDescending { it.nodeId },
            )
        dealt.merge(best.name, 1, Int::plus)
      }
      val wide = (count - rooms.sum()).coerceAtLeast(0)
      assertEquals(dealt.mapValues { it.value + wide }.filterValues { it > 0 }, counts.byNode)
    }
  }

  @Test
  fun onlyNodesThatHaveOfANamedResourceAreNamedForIt() {
    val gpu = Shape(SMALL.copy(others = mapOf("yarn.io/gpu" to 2)))
    val nodes = listOf(room(1), room(2).run { copy(free = free.copy(others = mapOf("yarn.io/gpu" to 5))) })
    val counts = planner.plan(mapOf(gpu to 3), { among(nodes) }, 0).getValue(gpu)
    assertEquals(mapOf("node1" to 1, "node2" to 3), counts.byNode, "there is room for two of them, and the third names all")
  }

  @Test
  fun containersThatAreToBeSpreadEvenlyGoWhereFewestOfTheServiceAre() {
    val table =
      listOf(
        // free MiB on nodes 1, 2, 3; how many of the service are there; wanted; named
        Even(listOf(8192, 1024, 1024), listOf(0, 0, 0), 3, listOf(1, 1, 1)),
        Even(listOf(8192, 1024, 1024), listOf(2, 1, 0), 3, listOf(0, 1, 2)),
        Even(listOf(8192, 256, 1024), listOf(0, 0, 0), 6, listOf(3, 1, 2)),
        Even(listOf(100, 256, 256), listOf(0, 5, 5), 2, listOf(0, 1, 1)),
      )
    for (row in table) {
      val nodes = row.free.mapIndexed { index, mib -> room(index + 1, mib) }
      val held = row.held.mapIndexed { index, count -> "node${index + 1}:8041" to count }.toMap()
      val even = Candidates.Preferred(PreferredNodes(nodes, 1), held)
      val counts = Planner(countsVcores = false).plan(mapOf(small to row.wanted), { even }, 0).getValue(small)
      assertEquals(row.named, (1..3).map { counts.byNode["node$it"] ?: 0 }, "$row")
      assertEquals(null, counts.onlyRacks, "others will do")
    }
  }

  private data class Even(
    val free: List<Long>,
    val held: List<Int>,
    val wanted: Int,
    val named: List<Int>,
  )

  @Test
  fun nodesThatWereNamedAreWelcomeToAllAndStayTheOnlyOnesHoweverLongItTakes() {
    val named = { isStrict: Boolean -> Candidates.Named(listOf(room(1), room(2)), setOf("/other"), isStrict) }
    for (millis in listOf(0L, 60_000L)) {
      val strict = planner.plan(mapOf(small to 3), { named(true) }, millis).getValue(small)
      assertEquals(NamedCounts(3, mapOf("node1" to 3, "node2" to 3), mapOf("/rack" to 3, "/other" to 3), setOf("/other")), strict)
      assertEquals(strict.copy(onlyRacks = null), planner.plan(mapOf(small to 3), { named(false) }, millis).getValue(small))
    }
  }

  @Test
  fun whatMayNotShareANodeIsAskedForOnceOnEachAndNoMoreThanThereAre() {
    val apart = Candidates.Apart(listOf(room(1), room(2)))
    val both = mapOf("node1" to 1, "node2" to 1)
    assertEquals(NamedCounts(2, both, mapOf("/rack" to 2), emptySet()), planner.plan(mapOf(small to 5), { apart }, 0).getValue(small))
    assertEquals(NamedCounts(1, both, mapOf("/rack" to 2), emptySet()), planner.plan(mapOf(small to 1), { apart }, 0).getValue(small))
    assertEquals(emptyMap<Shape, NamedCounts>(), planner.plan(mapOf(small to 1), { Candidates.None(Shortage.Names) }, 0))
  }
}

package knit.am.yarn

import knit.am.core.LARGE
import knit.am.core.MOST
import knit.am.core.Placement
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.Shape
import knit.am.core.Spread
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class NodeChoiceTest {
  private val nodes = Nodes(FakeResourceManager()) { 0 }
  private val apart = Placement(spread = Spread.ANTI_AFFINITY, spreadOf = "worker")

  private fun report(vararg rooms: NodeRoom) =
    runBlocking { nodes.begin(Registration(MOST, countsVcores = false), CompletableDeferred(Result.success(rooms.toList()))) }

  private fun choice(
    excluded: Set<String> = emptySet(),
    held: Map<String, Int> = emptyMap(),
  ) = NodeChoice(nodes, excluded) { serviceName -> if (serviceName == "worker") held else emptyMap() }

  private fun NodeChoice.names(
    placement: Placement,
    count: Int = 10,
    size: Resource = SMALL,
  ): List<String> =
    when (val found = of(Shape(size, placement), count)) {
      is Candidates.Preferred -> found.nodes.nodes.map { it.name }
      is Candidates.Named -> found.nodes.map { it.name }
      is Candidates.Apart -> found.nodes.map { it.name }
      is Candidates.None -> listOf("none: ${found.shortage}")
      Candidates.Unknown -> listOf("unknown")
    }

  @Test
  fun aLabelMeansItsNodesAndNoOthers() {
    report(room(1), room(2, partition = "gpu"), room(3, partition = "gpu"))
    assertEquals(listOf("node1"), choice().names(Placement.ANYWHERE))
    assertEquals(listOf("node2", "node3"), choice().names(Placement(label = "gpu")))
    assertEquals(listOf("none: ${Shortage.Label}"), choice().names(Placement(label = "fpga")))
  }

  @Test
  fun nodesAreNamedByHostByPortOrByRack() {
    report(room(1), room(2), room(3).copy(rack = "/other"))
    assertEquals(listOf("node1"), choice().names(Placement(nodes = setOf("node1"))))
    assertEquals(listOf("node2"), choice().names(Placement(nodes = setOf("node2:8041"))))
    assertEquals(listOf("node1", "node3"), choice().names(Placement(nodes = setOf("node1"), racks = setOf("/other"))))
  }

  @Test
  fun whereNoneOfTheNamesIsAliveOthersWillDoUnlessItIsStrict() {
    report(room(1))
    assertEquals(listOf("node1"), choice().names(Placement(nodes = setOf("gone"))))
    assertEquals(listOf("none: ${Shortage.Names}"), choice().names(Placement(nodes = setOf("gone"), isStrict = true)))
  }

  @Test
  fun nodesThatHaveOneOfTheServiceAreNoneForAnother() {
    report(room(1), room(2), room(3, memoryMib = 100))
    assertEquals(listOf("node2", "node3"), choice(held = mapOf("node1:8041" to 1)).names(apart), "most room first")
    val all = mapOf("node1:8041" to 1, "node2:8041" to 1, "node3:8041" to 1)
    assertEquals(listOf("none: ${Shortage.Apart(3)}"), choice(held = all).names(apart))
    assertEquals(listOf("node1", "node2"), choice(held = all).names(apart.copy(spreadOf = "other"), count = 2))
  }

  @Test
  fun twoShapesOfOneServiceAreNotGivenTheSameNode() {
    report(room(1), room(2))
    val choice = choice()
    assertEquals(listOf("node1"), choice.names(apart, count = 1))
    assertEquals(listOf("node2"), choice.names(apart, count = 1, size = LARGE))
    assertEquals(listOf("none: ${Shortage.Apart(2)}"), choice.names(apart, count = 1, size = MOST))
  }

  @Test
  fun nodesThatAreTooSmallAreNoneToBeApartOn() {
    report(room(1, capacity = SMALL), room(2))
    assertEquals(listOf("node2"), choice().names(apart, size = LARGE))
  }

  @Test
  fun ofManyNodesSomeAreNamedAtATime() {
    report(*Array(300) { room(it) })
    assertEquals(NodeChoice.MAX_APART_NODES, choice().names(apart, count = 10_000).size)
  }

  @Test
  fun excludedNodesAreTakenOnlyWhereThereAreNoOthersAndAreThenNeeded() {
    report(room(1), room(2))
    val excluded = setOf("node1:8041")
    choice(excluded).let {
      assertEquals(listOf("node2"), it.names(apart))
      assertEquals(emptySet<String>(), it.needed)
    }
    choice(excluded, held = mapOf("node2:8041" to 1)).let {
      assertEquals(listOf("node1"), it.names(apart))
      assertEquals(excluded, it.needed)
    }
    choice(excluded).let {
      assertEquals(listOf("node1"), it.names(Placement(nodes = setOf("node1"), isStrict = true)))
      assertEquals(excluded, it.needed)
    }
  }

  @Test
  fun whereNodesAreNotToldWhatWasNamedIsBelievedToBeThere() {
    assertEquals(listOf("unknown"), choice().names(apart))
    assertEquals(listOf("a"), choice().names(Placement(nodes = setOf("a"), isStrict = true)))
  }

  @Test
  fun whereAContainerMayBeFollowsFromWhatIsStrict() {
    val held = { _: String -> mapOf("n1:1" to 1) }
    assertTrue(Placement(nodes = setOf("n2")).allows("n1:1", null, held))
    val strict = Placement(nodes = setOf("n2"), racks = setOf("/r"), isStrict = true)
    assertTrue(strict.allows("n2:1", "/x", held))
    assertTrue(strict.allows("n1:1", "/r", held))
    assertTrue(strict.allows("n1:1", null, held), "nobody knows")
    assertFalse(strict.allows("n1:1", "/x", held))
    assertFalse(strict.copy(racks = emptySet()).allows("n1:1", null, held))
    assertFalse(apart.allows("n1:1", null, held))
    assertTrue(apart.allows("n2:1", null, held))
  }

  @Test
  fun aSchedulerThatGoesOnGrantingElsewhereIsAskedLessAndLessOften() {
    var now = 0L
    val misplacements = Misplacements { now }
    val shape = Shape(SMALL, apart)
    val rests = mutableListOf<Long>()
    repeat(12) {
      misplacements.add(shape)
      val began = now
      while (misplacements.shortage(shape) != null) now += 50
      rests += now - began
    }
    assertEquals(listOf(250L, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000), rests)
    misplacements.add(shape)
    assertEquals(Shortage.Misplaced(13), misplacements.shortage(shape))
    misplacements.clear(shape)
    assertNull(misplacements.shortage(shape))
  }
}

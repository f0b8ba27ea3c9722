package knit.am.yarn

import knit.am.core.MOST
import knit.am.core.Resource
import knit.am.core.SMALL
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class NodesTest {
  private val nodes = Nodes(FakeResourceManager()) { 0 }

  private fun add(
    nodeId: String,
    name: String,
  ) = nodes.add(NodeRoom(nodeId, name, "/rack", Resource(1024, 1)))

  @Test
  fun theResourceManagerIsToldOfExcludedNodes() {
    add("a:1", "a")
    add("b:1", "b")
    assertEquals(setOf("a:1"), nodes.avoidable(setOf("a:1")))
  }

  @Test
  fun anExcludedNodeDoesNotTakeAnotherOneOfItsNameWithIt() {
    add("a:1", "a")
    add("a:2", "a")
    assertEquals(emptySet<String>(), nodes.avoidable(setOf("a:1")))
  }

  @Test
  fun nodesOfOneHostAreToldApartWhereTheirNamesHavePorts() {
    add("a:1", "a:1")
    add("a:2", "a:2")
    assertEquals(setOf("a:1"), nodes.avoidable(setOf("a:1")))
  }

  @Test
  fun neverIsEveryNodeExcluded() {
    add("a:1", "a")
    add("b:1", "b")
    assertEquals(emptySet<String>(), nodes.avoidable(setOf("a:1", "b:1")))
  }

  /** A partition gives nothing to requests without its label, so it is no reason to do without the others. */
  @Test
  fun norIsEveryNodeInReachExcluded() {
    nodes.add(room(1))
    nodes.add(room(2, partition = "gpu"))
    assertEquals(emptySet<String>(), nodes.avoidable(setOf("node1:8041")))
  }

  @Test
  fun nodesOfAPartitionAreNotNamedUnlessAllGrantsComeFromThere() {
    report(room(1), room(2, partition = "gpu"))
    assertEquals(listOf("node1"), nodes.preferredNodes(emptySet())?.nodes?.map { it.name })
    nodes.granted("node2:8041", SMALL)
    assertEquals(listOf("node2"), nodes.preferredNodes(emptySet())?.nodes?.map { it.name })
    nodes.granted("node1:8041", SMALL)
    assertEquals(listOf("node1"), nodes.preferredNodes(emptySet())?.nodes?.map { it.name })
  }

  /** YARN may lend them, so that it is asked; but nobody should count on it. */
  @Test
  fun whatOnlyAPartitionHoldsIsKnownToBeOutOfReachUntilAGrantComesFromThere() {
    val large = Resource(8_192, 1)
    report(room(1, capacity = SMALL), room(2, capacity = large, partition = "gpu"))
    assertTrue(nodes.sizes().holds(large))
    assertFalse(nodes.sizes().holdsInReach(large))
    nodes.granted("node2:8041", SMALL)
    assertTrue(nodes.sizes().holdsInReach(large))
  }

  @Test
  fun whereOnlyPartitionsAreLeftNothingIsNamed() {
    report(room(2, partition = "gpu"))
    assertEquals(emptyList<NodeRoom>(), nodes.preferredNodes(emptySet())?.nodes)
  }

  @Test
  fun whereEveryNodeIsExcludedAnyWillDo() {
    report(room(1))
    assertEquals(listOf("node1"), nodes.preferredNodes(setOf("node1:8041"))?.nodes?.map { it.name })
  }

  @Test
  fun nodesThatHaveComeAreNoReasonToNameNoOthers() {
    nodes.add(room(1))
    assertEquals(null, nodes.preferredNodes(emptySet()))
  }

  private fun report(vararg rooms: NodeRoom) =
    runBlocking { nodes.begin(Registration(MOST, countsVcores = false), CompletableDeferred(Result.success(rooms.toList()))) }
}

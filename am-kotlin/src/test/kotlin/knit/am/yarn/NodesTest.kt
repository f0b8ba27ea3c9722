package knit.am.yarn

import knit.am.core.MOST
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.Shape
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
    assertEquals(listOf("node1"), preferredNodes(emptySet())?.nodes?.map { it.name })
    nodes.granted("node2:8041", SMALL)
    assertEquals(listOf("node2"), preferredNodes(emptySet())?.nodes?.map { it.name })
    nodes.granted("node1:8041", SMALL)
    assertEquals(listOf("node1"), preferredNodes(emptySet())?.nodes?.map { it.name })
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
    assertEquals(emptyList<NodeRoom>(), preferredNodes(emptySet())?.nodes)
  }

  @Test
  fun whereEveryNodeIsExcludedAnyWillDo() {
    report(room(1))
    assertEquals(listOf("node1"), preferredNodes(setOf("node1:8041"))?.nodes?.map { it.name })
  }

  @Test
  fun nodesThatHaveComeAreNoReasonToNameNoOthers() {
    nodes.add(room(1))
    assertEquals(null, preferredNodes(emptySet()))
  }

  @Test
  fun theMostOfANamedResourceFollowsTheNodesUpToWhatIsConfigured() {
    val gpus = { number: Int, amount: Long -> room(number, capacity = MOST.copy(others = mapOf("yarn.io/gpu" to amount))) }
    val most = MOST.copy(others = mapOf("yarn.io/gpu" to 4, "fpga" to 0))
    runBlocking {
      nodes.begin(Registration(most, countsVcores = true), CompletableDeferred(Result.success(listOf(room(1), gpus(2, 8)))))
    }
    assertEquals(mapOf("yarn.io/gpu" to 4L, "fpga" to 0L), nodes.sizes().maximum.others, "configured, for a node has more")
    nodes.remove("node2:8041")
    assertEquals(mapOf("yarn.io/gpu" to 0L, "fpga" to 0L), nodes.sizes().maximum.others, "known, though no node has any")
    nodes.add(gpus(3, 2))
    assertEquals(2L, nodes.sizes().maximum.amountOf("yarn.io/gpu"))
  }

  private fun preferredNodes(excluded: Set<String>): PreferredNodes? =
    (NodeChoice(nodes, excluded) { emptyMap() }.of(Shape(SMALL), 1) as? Candidates.Preferred)?.nodes

  private fun report(vararg rooms: NodeRoom) =
    runBlocking { nodes.begin(Registration(MOST, countsVcores = false), CompletableDeferred(Result.success(rooms.toList()))) }
}

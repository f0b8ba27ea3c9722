package knit.am.yarn

import knit.am.core.Resource
import org.junit.jupiter.api.Assertions.assertEquals
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
}

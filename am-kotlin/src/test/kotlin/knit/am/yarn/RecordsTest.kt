package knit.am.yarn

import knit.am.core.Completed
import knit.am.core.FinalStatus
import knit.am.core.LocalResource
import knit.am.core.Resource
import org.apache.hadoop.yarn.api.records.ContainerId
import org.apache.hadoop.yarn.api.records.ContainerStatus
import org.apache.hadoop.yarn.api.records.FinalApplicationStatus
import org.apache.hadoop.yarn.api.records.LocalResourceType
import org.apache.hadoop.yarn.api.records.LocalResourceVisibility
import org.apache.hadoop.yarn.api.records.NodeId
import org.apache.hadoop.yarn.api.records.NodeReport
import org.apache.hadoop.yarn.api.records.NodeState
import org.apache.hadoop.yarn.util.Records
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

/** The door between YARN's records and our own types. */
class RecordsTest {
  private fun report(
    used: Resource,
    capacity: Resource,
    labels: Set<String>? = null,
  ): NodeReport =
    NodeReport
      .newInstance(NodeId.newInstance("node1", 8041), NodeState.RUNNING, "node1:8042", "/rack", used.toYarn(), capacity.toYarn(), 0, "", 0)
      .apply { nodeLabels = labels }

  @Test
  fun ofANodeItsFreeRoomIsWhatNobodyUses() {
    assertEquals(
      NodeRoom("node1:8041", "node1", "/rack", Resource(3072, 6), Resource(4096, 8), ""),
      report(Resource(1024, 2), Resource(4096, 8)).toDomain(namesHavePorts = false),
    )
  }

  @Test
  fun aNodeThatWasMadeSmallerThanWhatRunsOnItHasNoRoomAndNotLess() {
    assertEquals(Resource(0, 0), report(Resource(4096, 8), Resource(2048, 2)).toDomain(false).free)
  }

  @Test
  fun ofANodeThatSaysLittleNothingIsMadeUp() {
    val bare = Records.newRecord(NodeReport::class.java).apply { nodeId = NodeId.newInstance("node1", 8041) }
    assertEquals(NodeRoom("node1:8041", "node1", "", Resource(0, 0), Resource(0, 0), ""), bare.toDomain(false))
  }

  @Test
  fun aNodesPartitionAndItsNameWithAPortAreTheSchedulers() {
    val room = report(Resource(0, 0), Resource(1, 1), setOf("gpu")).toDomain(namesHavePorts = true)
    assertEquals("gpu" to "node1:8041", room.partition to room.name)
  }

  @Test
  fun containersAreGoneFromNodesInTheseStatesOnly() {
    assertEquals(
      setOf("LOST", "DECOMMISSIONED", "SHUTDOWN", "REBOOTED", "UNHEALTHY"),
      NodeState.values().filter { it.isLost }.mapTo(HashSet()) { it.name },
    )
  }

  @Test
  fun moreMemoryThanYarnsCallsHoldIsTheMostTheyDo() {
    assertEquals(Int.MAX_VALUE.toLong(), Resource(Long.MAX_VALUE, 1).toYarn().memorySize)
    assertEquals(Resource(1024, 3), Resource(1024, 3).toYarn().toDomain())
  }

  @Test
  fun eachEndHasItsWordInYarn() {
    assertEquals(
      listOf(FinalApplicationStatus.SUCCEEDED, FinalApplicationStatus.FAILED, FinalApplicationStatus.KILLED),
      listOf(FinalStatus.SUCCEEDED, FinalStatus.FAILED, FinalStatus.KILLED).map { it.toYarn() },
    )
  }

  @Test
  fun anEndIsToldWithYarnsWords() {
    val id = ContainerId.fromString("container_1_0001_01_000002")
    val status =
      Records.newRecord(ContainerStatus::class.java).apply {
        containerId = id
        exitStatus = -100
        diagnostics = "Container released on a *lost* node"
      }
    assertEquals(Completed(id.toString(), -100, "Container released on a *lost* node"), status.toDomain())
  }

  @Test
  fun aFileIsToldAsItIsWithWhoMayShareIt() {
    for (visibility in LocalResource.Visibility.values()) {
      for (type in LocalResource.Type.values()) {
        val told = LocalResource("hdfs://nn:8020/a%20b", 7, 11, type, visibility).toYarn()
        assertEquals(
          "hdfs://nn:8020/a%20b",
          told.resource
            .toPath()
            .toUri()
            .toString(),
        )
        assertEquals(7L to 11L, told.size to told.timestamp)
        assertEquals(LocalResourceType.valueOf(type.name), told.type)
        assertEquals(LocalResourceVisibility.valueOf(visibility.name), told.visibility)
      }
    }
  }
}

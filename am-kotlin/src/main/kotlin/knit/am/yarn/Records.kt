package knit.am.yarn

import knit.am.core.Completed
import knit.am.core.FinalStatus
import knit.am.core.Lease
import knit.am.core.LocalResource
import knit.am.core.Resource
import org.apache.hadoop.yarn.api.records.ContainerStatus
import org.apache.hadoop.yarn.api.records.FinalApplicationStatus
import org.apache.hadoop.yarn.api.records.LocalResourceType
import org.apache.hadoop.yarn.api.records.LocalResourceVisibility
import org.apache.hadoop.yarn.api.records.NodeReport
import org.apache.hadoop.yarn.api.records.NodeState
import org.apache.hadoop.yarn.api.records.QueueInfo
import org.apache.hadoop.yarn.api.records.URL
import java.net.URI
import org.apache.hadoop.yarn.api.records.Container as YarnContainer
import org.apache.hadoop.yarn.api.records.LocalResource as YarnLocalResource
import org.apache.hadoop.yarn.api.records.Resource as YarnResource

// The door between YARN's records and our own types.

internal fun YarnResource.toDomain() = Resource(memorySize, virtualCores, named().filterValues { it > 0 })

/** As a limit: what there is none of has its name, too, for it is no unknown one. */
internal fun YarnResource.toLimit() = Resource(memorySize, virtualCores, named())

/** YARN's calls of all versions take an int: 2 PiB of memory are enough. */
internal fun Resource.toYarn(): YarnResource =
  YarnResource.newInstance(memoryMib.coerceAtMost(Int.MAX_VALUE.toLong()).toInt(), vcores).also { yarn ->
    others.forEach { (name, amount) -> yarn.setResourceValue(name, amount) }
  }

private val withFields = setOf("memory-mb", "vcores")

/** Nothing where the node's Hadoop is older than named resources are: these came with 2.10 and 3.1. */
private fun YarnResource.named(): Map<String, Long> =
  try {
    resources.filterNot { it.name in withFields }.associate { it.name to it.value }
  } catch (
    @Suppress("SwallowedException") old: LinkageError,
  ) {
    emptyMap()
  }

internal fun YarnContainer.toDomain() =
  Lease(
    containerId = id.toString(),
    nodeId = nodeId.toString(),
    nodeHttpAddress = nodeHttpAddress,
    resource = resource.toDomain(),
  )

internal fun ContainerStatus.toDomain() = Completed(containerId.toString(), exitStatus, diagnostics.orEmpty())

/** By name, for older versions of YARN lack some of these. */
private val lostStates = setOf("LOST", "DECOMMISSIONED", "SHUTDOWN", "REBOOTED", "UNHEALTHY")

/** Whether containers on a node in this state are gone, or as good as gone. */
internal val NodeState.isLost: Boolean
  get() = name in lostStates

/** [namesHavePorts] is the scheduler's setting for several NodeManagers on one host. */
internal fun NodeReport.toDomain(namesHavePorts: Boolean) =
  NodeRoom(
    nodeId = nodeId.toString(),
    name = schedulerName(nodeId.toString(), namesHavePorts),
    rack = rackName.orEmpty(),
    free =
      Resource(
        memoryMib = ((capability?.memorySize ?: 0) - (used?.memorySize ?: 0)).coerceAtLeast(0),
        vcores = ((capability?.virtualCores ?: 0) - (used?.virtualCores ?: 0)).coerceAtLeast(0),
        others = freeOthers(),
      ),
    capacity = capability?.toDomain() ?: Resource(0, 0),
    partition = nodeLabels?.firstOrNull().orEmpty(),
  )

private fun NodeReport.freeOthers(): Map<String, Long> {
  val all = capability?.toDomain()?.others.orEmpty()
  val taken = used?.toDomain()?.others.orEmpty()
  return all.mapValues { (name, amount) -> (amount - (taken[name] ?: 0)).coerceAtLeast(0) }
}

/** Schedulers say different things of a queue: the CapacityScheduler its shares of the whole, and all of them what it uses. */
internal fun QueueInfo.toDomain(): QueueReport? {
  val statistics = queueStatistics ?: return null
  val shares =
    try {
      queueConfigurations?.get("")
    } catch (
      @Suppress("SwallowedException") old: LinkageError,
    ) {
      null
    }
  return QueueReport(
    queueName,
    Resource(statistics.allocatedMemoryMB, statistics.allocatedVCores.toInt()),
    shares?.absoluteCapacity?.toDouble(),
    shares?.absoluteMaxCapacity?.toDouble(),
  )
}

internal fun schedulerName(
  nodeId: String,
  namesHavePorts: Boolean,
): String = if (namesHavePorts) nodeId else nodeId.substringBeforeLast(':')

internal fun FinalStatus.toYarn(): FinalApplicationStatus =
  when (this) {
    FinalStatus.SUCCEEDED -> FinalApplicationStatus.SUCCEEDED
    FinalStatus.FAILED -> FinalApplicationStatus.FAILED
    FinalStatus.KILLED -> FinalApplicationStatus.KILLED
  }

internal fun LocalResource.toYarn(): YarnLocalResource =
  YarnLocalResource.newInstance(
    URL.fromURI(URI(url)),
    when (type) {
      LocalResource.Type.FILE -> LocalResourceType.FILE
      LocalResource.Type.ARCHIVE -> LocalResourceType.ARCHIVE
    },
    when (visibility) {
      LocalResource.Visibility.PRIVATE -> LocalResourceVisibility.PRIVATE
      LocalResource.Visibility.APPLICATION -> LocalResourceVisibility.APPLICATION
      LocalResource.Visibility.PUBLIC -> LocalResourceVisibility.PUBLIC
    },
    sizeBytes,
    modifyTimeMillis,
  )

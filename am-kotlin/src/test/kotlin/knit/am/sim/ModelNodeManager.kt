package knit.am.sim

import kotlinx.coroutines.delay
import org.apache.hadoop.yarn.api.records.ContainerId
import java.io.IOException

/** What a container runs, as long as nobody stops it. */
internal class Process(
  var endMillis: Long,
  var exitStatus: Int,
)

/** A NodeManager with its processes: it refuses, or does not answer, as it is told. */
internal class ModelNodeManager(
  val node: ModelNode,
  private val yarn: ModelYarn,
  private val nowMillis: () -> Long,
) {
  val processes = LinkedHashMap<ContainerId, Process>()
  var isUp = true
  private var disturbance: DisturbNode? = null
  private var disturbedUntil = 0L

  private val isDisturbed get() = nowMillis() < disturbedUntil

  private val isSilent get() = !isUp || (disturbance?.isSilent == true && isDisturbed)

  fun disturb(step: DisturbNode) {
    disturbance = step
    disturbedUntil = nowMillis() + step.millis
  }

  fun calm() {
    disturbedUntil = 0
  }

  /** It tells what has ended, hears what is to end, and is given new containers. */
  fun beat() {
    if (!isUp || yarn.isDown || !node.isLive) return
    for ((id, process) in processes.toMap()) {
      val lease = yarn.leases.getValue(id)
      if (process.endMillis <= nowMillis()) yarn.end(lease, process.exitStatus, "Exception from container-launch.")
      if (!lease.isOver) continue
      processes -= id
      lease.isGone = true
    }
    yarn.schedule(node)
  }

  suspend fun launch(
    id: ContainerId,
    program: Program,
  ) {
    delay(CALL_MILLIS)
    val lease = yarn.leases.getValue(id)
    if (isUp && !(isDisturbed && !isSilent)) {
      lease.isLaunched = true
      processes[id] = Process(nowMillis() + program.seconds * 1_000L, program.exitStatus)
    }
    answer(id)
  }

  suspend fun stop(id: ContainerId) {
    delay(CALL_MILLIS)
    if (isUp && !(isDisturbed && !isSilent)) {
      val process = processes[id]
      if (process !=
        null
      ) {
        end(process, TERMINATED)
      } else if (!isSilent) {
        throw IOException("Container $id is not handled by this NodeManager")
      }
    }
    answer(id)
  }

  fun end(
    process: Process,
    exitStatus: Int,
  ) {
    process.endMillis = nowMillis()
    process.exitStatus = exitStatus
  }

  /** It is started anew and finds its processes gone. */
  fun restart() {
    if (isUp) processes.values.forEach { end(it, LOST_PROCESS) }
  }

  private suspend fun answer(id: ContainerId) {
    if (isSilent) {
      delay(CALL_LIMIT_MILLIS)
      throw IOException("${node.name} did not answer for $id")
    }
    if (isDisturbed) throw IOException("${node.name} refuses $id")
  }

  private companion object {
    const val CALL_MILLIS = 20L
    const val CALL_LIMIT_MILLIS = 30_000L
    const val TERMINATED = 143
    const val LOST_PROCESS = 154
  }
}

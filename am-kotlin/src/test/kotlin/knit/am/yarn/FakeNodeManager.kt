package knit.am.yarn

import knit.am.core.Lease
import java.io.IOException

/** Accepts what it is told to launch and to stop, except on nodes that are [dead], once [answering] lets it. */
internal class FakeNodeManager : NodeManager {
  val launched = LinkedHashMap<String, LaunchSpec>()
  val stopped = mutableListOf<String>()
  val dead = mutableSetOf<String>()

  /** Called with the lease of each call before it is answered: holds the answer back, or throws. */
  var answering: suspend (Lease) -> Unit = {}

  override suspend fun launch(
    lease: Lease,
    spec: LaunchSpec,
  ) {
    answering(lease)
    refuseIfDead(lease)
    launched[lease.containerId] = spec
  }

  override suspend fun stop(lease: Lease) {
    answering(lease)
    refuseIfDead(lease)
    stopped += lease.containerId
  }

  private fun refuseIfDead(lease: Lease) {
    if (lease.nodeId in dead) throw IOException("${lease.nodeId} does not answer")
  }
}

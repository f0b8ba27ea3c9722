package knit.am.yarn

import knit.am.core.Lease
import java.io.IOException
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.CopyOnWriteArrayList

/** Accepts what it is told to launch and to stop, except on nodes that are [dead], once [answering] lets it. */
internal class FakeNodeManager : NodeManager {
  private val launches = LinkedHashMap<String, LaunchSpec>()

  /** What was launched so far, in that order: containers are launched from several threads at once. */
  val launched: Map<String, LaunchSpec>
    get() = synchronized(launches) { LinkedHashMap(launches) }
  val stopped: MutableList<String> = CopyOnWriteArrayList()
  val dead: MutableSet<String> = ConcurrentHashMap.newKeySet()

  /** Called with the lease of each call before it is answered: holds the answer back, or throws. */
  var answering: suspend (Lease) -> Unit = {}

  override suspend fun launch(
    lease: Lease,
    spec: LaunchSpec,
  ) {
    answering(lease)
    refuseIfDead(lease)
    synchronized(launches) { launches[lease.containerId] = spec }
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

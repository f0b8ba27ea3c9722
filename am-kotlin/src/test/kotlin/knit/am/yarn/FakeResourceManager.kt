package knit.am.yarn

import knit.am.core.Completed
import knit.am.core.Lease
import knit.am.core.MOST
import knit.am.core.Outcome
import java.io.IOException

/** An RM that does what the test tells it, and remembers what it was told. */
internal class FakeResourceManager : ResourceManager {
  /** Each heartbeat's demand. */
  val demands = mutableListOf<Demand>()
  val released = mutableListOf<String>()
  val outcomes = mutableListOf<Outcome>()
  var registeredPort: Int? = null

  /** What [nodes] answers; null: nothing is told. */
  var rooms: List<NodeRoom>? = emptyList()
  var failure: Exception? = null

  /** Called before the outcome is taken; holds the answer back, or throws. */
  var unregistering: suspend () -> Unit = {}

  @Volatile
  var isUnregistering = false

  /** Grants what is asked for, at once. */
  var isGenerous = false

  private val granted = mutableListOf<Grant>()
  private val completed = mutableListOf<Completed>()
  private val lost = mutableListOf<String>()
  private var number = 0

  val open: Collection<Ask>
    get() = demands.last().asks

  fun grant(ask: Ask): Grant {
    number++
    val node = ask.nodes.firstOrNull() ?: room(1)
    return Grant(Lease("container_$number", node.nodeId, "${node.name}:8042", ask.resource), ask.resource).also { granted += it }
  }

  fun complete(
    containerId: String,
    exitStatus: Int = 0,
  ) {
    completed += Completed(containerId, exitStatus, "")
  }

  fun lose(nodeId: String) {
    lost += nodeId
  }

  override suspend fun prepare() = Unit

  override suspend fun register(
    host: String,
    port: Int,
  ): Registration {
    registeredPort = port
    return Registration(MOST, countsVcores = false)
  }

  override suspend fun allocate(demand: Demand): Allocation {
    demands += demand
    failure?.let { throw it }
    if (isGenerous) demand.asks.forEach { grant(it) }
    val allocation = Allocation(granted.toList(), completed.toList(), lost.toList(), emptyList())
    granted.clear()
    completed.clear()
    lost.clear()
    return allocation
  }

  override fun release(containerId: String) {
    released += containerId
  }

  override suspend fun nodes(): List<NodeRoom>? = rooms

  override suspend fun unregister(outcome: Outcome) {
    failure?.let { throw IOException(it) }
    isUnregistering = true
    unregistering()
    outcomes += outcome
  }
}

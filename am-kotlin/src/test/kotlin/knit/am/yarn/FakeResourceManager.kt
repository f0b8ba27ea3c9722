package knit.am.yarn

import knit.am.core.Completed
import knit.am.core.Lease
import knit.am.core.MOST
import knit.am.core.Outcome
import knit.am.core.Resource
import knit.am.core.Shape
import kotlinx.coroutines.CompletableDeferred
import java.io.IOException
import java.util.concurrent.CopyOnWriteArrayList

internal fun room(
  number: Int,
  memoryMib: Long = 8192,
  vcores: Int = 8,
  capacity: Resource = Resource(maxOf(memoryMib, 8192), maxOf(vcores, 8)),
  partition: String = "",
) = NodeRoom("node$number:8041", "node$number", "/rack", Resource(memoryMib, vcores), capacity, partition)

/**
 * An RM that does what the test tells it, and remembers what it was told.
 *
 * Grants, ends and lost nodes may be told while an Application Master asks on another thread.
 */
internal class FakeResourceManager : ResourceManager {
  /** Each heartbeat's demand. */
  val demands = mutableListOf<Demand>()
  val released: MutableList<String> = CopyOnWriteArrayList()
  val outcomes: MutableList<Outcome> = CopyOnWriteArrayList()
  var registeredPort: Int? = null

  /** What [nodes] answers; null: nothing is told. */
  var rooms: List<NodeRoom>? = emptyList()

  /** How often [nodes] was called. */
  var reports = 0
  var failure: Exception? = null

  /** Called before the outcome is taken; holds the answer back, or throws. */
  var unregistering: suspend () -> Unit = {}

  @Volatile
  var isUnregistering = false

  /** While it is there, calls of [nodes] wait for it. */
  var reportGate: CompletableDeferred<Unit>? = null

  /** While it is there, heartbeats are heard but not answered. */
  var answerGate: CompletableDeferred<Unit>? = null

  /** Grants what is asked for, at once. */
  var isGenerous = false

  /** What the next answer holds beside grants and ends. */
  var next = Allocation(emptyList(), emptyList())

  private val granted = mutableListOf<Grant>()
  private val completed = mutableListOf<Completed>()
  private var number = 0

  /** What is asked for. */
  val open: Map<Resource, NamedCounts>
    get() = demands.last().asks.mapKeys { it.key.resource }

  val openCount: Int
    get() = open.values.sumOf { it.total }

  /** Grants one container with the next answer. */
  fun grant(
    resource: Resource = open.keys.first(),
    nodeName: String = "node1",
    shape: Shape = Shape(resource),
  ): Grant =
    synchronized(this) {
      number++
      val lease = Lease("container_$number", "$nodeName:8041", "$nodeName:8042", resource)
      Grant(lease, shape).also { granted += it }
    }

  fun complete(
    containerId: String,
    exitStatus: Int = 0,
  ) {
    synchronized(this) { completed += Completed(containerId, exitStatus, "") }
  }

  fun lose(nodeId: String) {
    synchronized(this) { next = next.copy(lostNodes = next.lostNodes + nodeId) }
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
    answerGate?.await()
    failure?.let { throw it }
    if (isGenerous) grantAll(demand)
    return synchronized(this) {
      val allocation = next.copy(granted = granted.toList(), completed = completed.toList())
      next = Allocation(emptyList(), emptyList())
      granted.clear()
      completed.clear()
      allocation
    }
  }

  private fun grantAll(demand: Demand) {
    for ((shape, counts) in demand.asks) {
      val named = counts.byNode.flatMap { (name, count) -> List(count) { name } }
      repeat(counts.total) { grant(shape.resource, named.getOrElse(it) { named.firstOrNull() ?: "node1" }, shape) }
    }
  }

  override fun release(containerId: String) {
    released += containerId
  }

  override suspend fun nodes(): List<NodeRoom>? {
    reports++
    reportGate?.await()
    return rooms
  }

  /** What [queue] answers, and how often it was asked. */
  var queueReport: QueueReport? = null
  var queueReports = 0
  var queueFailure: Exception? = null

  override suspend fun queue(name: String): QueueReport? {
    queueReports++
    queueFailure?.let { throw it }
    return queueReport
  }

  override suspend fun unregister(outcome: Outcome) {
    failure?.let { throw IOException(it) }
    isUnregistering = true
    unregistering()
    outcomes += outcome
  }
}

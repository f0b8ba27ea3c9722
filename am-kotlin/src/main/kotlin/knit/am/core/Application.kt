package knit.am.core

import knit.am.core.kv.Bytes
import knit.am.core.kv.KeyLease
import knit.am.core.kv.KeyValues
import kotlinx.collections.immutable.PersistentList
import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.persistentHashMapOf
import kotlinx.collections.immutable.persistentListOf
import java.time.Instant

/**
 * An application at one moment: immutable, so anyone may read it anywhere.
 *
 * It is the fold of its changes: records, of which [with] puts in new ones, and an [Index] that follows from them. [decide]
 * makes the changes. Snapshots share what did not change, so that an input costs about the same with ten containers as with
 * ten thousand. Two of them are equal only if they are the same one, for the same reason.
 *
 * An application with a driver ends with that. Any other one ends when at least one container was asked for and all of them
 * are final; one that begins with none therefore waits for a client to add some, or to end it.
 */
class Application internal constructor(
  val header: Header,
  /** By name. */
  val services: PersistentMap<String, Service>,
  /** In order. */
  val serviceNames: List<String>,
  /** By service name and revision; see [spec]. */
  internal val specs: PersistentMap<String, PersistentMap<Int, ServiceSpec>>,
  /** By service name, then by rank; of ranks that are retired too, so that there are no gaps. */
  internal val slots: PersistentMap<String, PersistentList<Slot>>,
  /** By number. */
  internal val variants: PersistentList<Variant>,
  /** Those that something speaks against, by identifier. */
  internal val nodes: PersistentMap<String, Node>,
  /** By name: what whoever submitted it has noted on it. Given back, never read. */
  internal val annotations: PersistentMap<String, Bytes>,
  /** By request: what was carried out lately; see [Retention]. */
  internal val answers: PersistentMap<String, Answered>,
  val keyValues: KeyValues,
  /** By number. */
  internal val keyLeases: PersistentMap<Long, KeyLease>,
  /** By YARN's identifier. */
  internal val pastLeases: PersistentMap<String, PastLease>,
  internal val index: Index,
  /** The number of the last turn that has changed anything. */
  val sequence: Long,
  /** No record: how much the rules of this Application Master keep. */
  internal val retention: Retention = Retention(),
) {
  val id: String get() = header.id
  val attemptNumber: Int get() = header.attemptNumber
  val historyId: String get() = header.historyId
  val phase: Phase get() = header.phase
  val outcome: Outcome? get() = header.outcome
  val startTime: Instant? get() = header.startTime
  val maxResource: Resource? get() = header.maxResource

  /** The containers, ended ones included as far as [Retention] keeps them, by service name, rank and attempt number. */
  val containers: Sequence<Container>
    get() = serviceNames.asSequence().flatMap { containersOf(it) }

  /** How many containers there are and were. */
  val size: Int
    get() = index.counts.total

  /** How many containers are in [state], forgotten ones included. */
  fun count(state: ContainerState): Int = index.counts[state]

  /** How many ranks there are. */
  internal val placeCount: Int
    get() = slots.values.sumOf { it.size }

  /** How many containers are not in a final state. */
  val openCount: Int
    get() = index.counts.open

  /** How far it is, 0 to 1: as a program says, else the part of all ranks that has ended. */
  val progress: Double
    get() = header.progress ?: endedPart

  /** The part of all ranks that has ended, 0 to 1. */
  internal val endedPart: Double
    get() {
      val ranks = index.tallies.values.sumOf { it.ranks }
      return if (ranks == 0) 0.0 else index.tallies.values.sumOf { it.succeededRanks + it.failedRanks + it.stoppedRanks } / ranks.toDouble()
    }

  /** How many containers hold a lease of YARN's. */
  val leasedCount: Int
    get() = index.counts.leased

  /** Whether every container has ended: nothing is left to ask of YARN but to take note of the outcome. */
  val isDone: Boolean
    get() = phase >= Phase.REPORTING

  /**
   * The nodes no more containers should be asked for on, for two failed there lately to launch or for their disks.
   *
   * A wish, not a ban: where it names every node there is, asking for nothing would wait forever.
   */
  val excludedNodes: Set<String>
    get() = index.excludedNodes

  /** When [Due] should come; null: there is nothing to wait for. */
  val nextDeadline: Instant?
    get() = index.deadlines.first?.time

  /** How many containers of each shape YARN should be asked for: no shape whose number would be 0. */
  fun wantedShapes(): Map<Shape, Int> = index.waiting.counts

  /** How many containers of each shape wait for a grant, by the name of their service. */
  fun waitingByService(): Map<Shape, Map<String, Int>> = index.waiting.countsByService

  /** What YARN is asked for on behalf of [container]. */
  fun shapeOf(container: Container): Shape = header.shapeOf(container, spec(container.key.place.serviceName, container.revision))

  /** How many leased containers of one service each node has, by `host:port`: only of nodes that have any. */
  fun leasedByNode(serviceName: String): Map<String, Int> {
    val counts = HashMap<String, Int>()
    for ((nodeId, keys) in index.byNode) {
      val count = keys.count { it.place.serviceName == serviceName }
      if (count > 0) counts[nodeId] = count
    }
    return counts
  }

  /** The containers of one service, by rank and attempt number, from [firstRank] on; none if there is no such service. */
  fun containersOf(
    serviceName: String,
    firstRank: Int = 0,
  ): Sequence<Container> {
    val ranks = slots[serviceName] ?: return emptySequence()
    return Sequence { ranks.listIterator(firstRank.coerceIn(0, ranks.size)) }.flatMap { it.attempts }
  }

  /** What is wanted of the service now. */
  fun spec(serviceName: String): ServiceSpec = spec(serviceName, services.getValue(serviceName).revision)

  /** What was wanted of it in [revision]; what nothing needs any more is forgotten. */
  fun spec(
    serviceName: String,
    revision: Int,
  ): ServiceSpec = specs.getValue(serviceName).getValue(revision)

  /** What is counted of the service. */
  fun tally(serviceName: String): Tally = index.tallies[serviceName] ?: Tally.NONE

  /** Of each service whose record is among [changes]; most turns change none. */
  internal fun talliesOf(changes: List<Change>): Map<String, Tally> {
    val names = changes.mapNotNull { (it as? ServiceChanged)?.service?.name }
    return if (names.isEmpty()) emptyMap() else names.associateWith(::tally)
  }

  fun container(key: ContainerKey): Container? = slot(key.place)?.attempt(key.attemptNumber)

  /** The container with YARN's identifier; null if none of this application's had it, or it is forgotten. */
  fun container(containerId: String): Container? = index.byContainerId[containerId]?.let { container(it) }

  /** The container of that name; null if there never was one, or it is forgotten. */
  fun container(ref: ContainerRef): Container? {
    val own = slot(PlaceKey(ref.serviceName, ref.ordinal))?.attempts?.firstOrNull { it.ordinal == ref.ordinal }
    return own ?: index.byOrdinal[ref]?.let { container(it) }
  }

  /** Whether YARN's grant of this lease has been heard. */
  fun knows(containerId: String): Boolean = containerId in index.byContainerId || containerId in pastLeases

  /** What fills [place], is asked for to fill it, or was the last to. */
  fun latest(place: PlaceKey): Container? = slot(place)?.latest

  internal fun slot(place: PlaceKey): Slot? = slots[place.serviceName]?.getOrNull(place.rank)

  override fun toString(): String = "Application($id, attempt $attemptNumber, turn $sequence, $phase, ${index.counts}, outcome=$outcome)"

  companion object {
    /** What every application is the fold of its changes from. */
    internal fun nothing(retention: Retention = Retention()) =
      Application(
        Header("", 0, ""),
        persistentHashMapOf(),
        emptyList(),
        persistentHashMapOf(),
        persistentHashMapOf(),
        persistentListOf(),
        persistentHashMapOf(),
        persistentHashMapOf(),
        persistentHashMapOf(),
        KeyValues.NONE,
        persistentHashMapOf(),
        persistentHashMapOf(),
        Index(),
        0,
        retention,
      )

    /** The application as it begins, which is its first turn: every instance of every service is asked for, unless there is a [problem]. */
    internal fun start(
      id: String,
      attemptNumber: Int,
      historyId: String,
      services: Map<String, ServiceSpec>,
      now: Instant,
      problem: String? = problemIn(services),
      nodeLabel: String? = null,
      hasDriver: Boolean = false,
      masterContainerId: String = "",
      retention: Retention = Retention(),
      annotations: Map<String, Bytes> = emptyMap(),
    ): Application {
      val driver = if (hasDriver) DriverState.WAITING else null
      val header =
        Header(
          id,
          attemptNumber,
          historyId,
          problem = problem,
          nodeLabel = nodeLabel,
          masterContainerId = masterContainerId,
          driver = driver,
        )
      return nothing(retention).with(beginning(header, services, now, annotations))
    }
  }
}

/** The first turn. */
internal fun beginning(
  header: Header,
  services: Map<String, ServiceSpec>,
  now: Instant,
  annotations: Map<String, Bytes> = emptyMap(),
): ChangeSet {
  val asked = if (header.problem == null) services.toSortedMap() else sortedMapOf()
  val variants =
    asked.values
      .map { it.resource }
      .distinct()
      .withIndex()
      .associate { (number, size) -> size to Variant(number, size, emptyMap()) }
  // With a problem nothing is looked at: the services may not even be there that others depend on.
  val begun = asked.filterValues { spec -> spec.depends.all { asked[it.serviceName]?.instances == 0 } }.keys
  val changes =
    listOf(HeaderChanged(header)) +
      annotations.map { (name, value) -> AnnotationChanged(name, value) } +
      services.toSortedMap().flatMap { (name, spec) ->
        val hasBegun = name in begun || header.problem != null
        val condition =
          when {
            !hasBegun -> ServiceCondition.PENDING
            spec.instances > 0 && header.problem == null -> ServiceCondition.STARTING
            else -> ServiceCondition.READY
          }
        listOf(SpecAdded(name, 1, spec), ServiceChanged(Service(name, 1, spec.instances, condition, hasBegun)))
      } +
      variants.values.map { VariantAdded(it) } +
      asked.flatMap { (name, spec) ->
        requested(name, 0, spec.instances, 0, 1, variants.getValue(spec.resource), now, name in begun).map { ContainerChanged(it) }
      }
  return ChangeSet(1, now, changes)
}

/** The first containers of so many places, as they are when they are asked for. */
internal fun requested(
  serviceName: String,
  firstRank: Int,
  count: Int,
  firstOrdinal: Int,
  revision: Int,
  variant: Variant,
  now: Instant,
  hasBegun: Boolean,
): List<Container> =
  List(count) {
    Container(
      ContainerKey(PlaceKey(serviceName, firstRank + it), 1),
      if (hasBegun) ContainerState.REQUESTED else ContainerState.PENDING,
      firstOrdinal + it,
      revision,
      variant,
      requestTime = now,
    )
  }

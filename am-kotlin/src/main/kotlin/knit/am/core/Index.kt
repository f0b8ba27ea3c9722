package knit.am.core

import knit.am.core.kv.KeyLease
import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.PersistentSet
import kotlinx.collections.immutable.persistentHashMapOf
import kotlinx.collections.immutable.persistentHashSetOf
import java.time.Instant

/**
 * What follows from the records and is asked for often: [IndexEdit] moves it along with each change, [of] makes it from
 * scratch, and the two are always equal.
 */
internal data class Index(
  /** Who waits for a grant. */
  val waiting: Waiting = Waiting.NONE,
  val counts: Counts = Counts.NONE,
  /** By service name. */
  val tallies: PersistentMap<String, Tally> = persistentHashMapOf(),
  /** Every container that was ever granted and is not forgotten, by YARN's identifier. */
  val byContainerId: PersistentMap<String, ContainerKey> = persistentHashMapOf(),
  /** By what it is called, where its ordinal is not its rank: of those that began a service it is. */
  val byOrdinal: PersistentMap<ContainerRef, ContainerKey> = persistentHashMapOf(),
  /** The services that have not begun, in order. */
  val waitingServices: Line<String> = Line.empty(),
  /** The containers that hold a lease, by node. */
  val byNode: PersistentMap<String, PersistentSet<ContainerKey>> = persistentHashMapOf(),
  val deadlines: Line<Deadline> = Line.empty(),
  /** The attempts before the latest that have ended, of all ranks: the first is forgotten first. */
  val followed: Line<Ended> = Line.empty(),
  /** Those whose diagnostics are longer than their last words: the first is abridged first. */
  val unabridged: Line<Ended> = Line.empty(),
  /** The first is forgotten first. */
  val pastLeases: Line<PastLease> = Line.empty(),
  val excludedNodes: PersistentSet<String> = persistentHashSetOf(),
  /** The requests whose answers are kept: the first is forgotten first. */
  val answered: Line<AnswerAge> = Line.empty(),
  /** What these answers hold that nothing else does. */
  val answerBytes: Long = 0,
  /** The requests of which it is only known that they were carried out. */
  val outdated: Line<AnswerAge> = Line.empty(),
  /** Each set of variables that any container has, and its variants by size. */
  val environments: PersistentMap<Map<String, String>, PersistentMap<Resource, Variant>> = persistentHashMapOf(),
  /** How long the variables of [environments] are. */
  val environmentBytes: Long = 0,
) {
  companion object {
    /** From the records alone, however they came about. */
    fun of(application: Application): Index {
      val containers = application.containers
      val slots = application.slots.values.flatten()
      val tallies = application.services.keys.associateWith { Tally.of(application.slots.getValue(it), application.spec(it).instances) }
      return Index(
        waiting = Waiting.of(application),
        counts = Counts.of(tallies.values),
        tallies = persistentHashMapOf<String, Tally>().putAll(tallies.filterValues { it != Tally.NONE }),
        byContainerId =
          persistentHashMapOf<String, ContainerKey>().putAll(
            containers.filter { it.lease != null }.associate {
              checkNotNull(it.lease).containerId to
                it.key
            },
          ),
        byOrdinal =
          persistentHashMapOf<ContainerRef, ContainerKey>().putAll(
            containers.filter { it.ordinal != it.key.place.rank }.associate { it.ref to it.key },
          ),
        waitingServices =
          Line.of(
            application.services.values
              .filter { it.isWaiting }
              .map { it.name },
          ),
        byNode =
          containers
            .filter { it.state.isLeased }
            .groupBy({ checkNotNull(it.lease).nodeId }, { it.key })
            .entries
            .fold(persistentHashMapOf()) { all, (nodeId, keys) -> all.put(nodeId, persistentHashSetOf<ContainerKey>().addAll(keys)) },
        deadlines =
          Line.of(
            application.keyLeases.values.map { Deadline.of(it) } +
              application.nodes.values.map { Deadline.of(it) } +
              listOfNotNull(Deadline.of(application.header)) +
              application.services.values.mapNotNull { Deadline.of(it) } +
              application.services.values.mapNotNull { Deadline.ofUpdate(it) } +
              containers.mapNotNull { Deadline.of(it) },
          ),
        followed = Line.of(slots.flatMap { it.earlier }.filter { it.state.isFinal }.map { Ended.of(it) }),
        unabridged = Line.of(containers.filter { it.hasLongDiagnostics }.map { Ended.of(it) }.asIterable()),
        pastLeases = Line.of(application.pastLeases.values),
        excludedNodes =
          persistentHashSetOf<String>().addAll(
            application.nodes.values
              .filter { it.isExcluded }
              .map { it.nodeId },
          ),
        answered =
          Line.of(
            application.answers.values
              .filter { it.answer != null }
              .map { it.age },
          ),
        answerBytes = application.answers.values.sumOf { it.bytes },
        outdated =
          Line.of(
            application.answers.values
              .filter { it.answer == null }
              .map { it.age },
          ),
        environments =
          application.variants.groupBy { it.environment }.entries.fold(persistentHashMapOf()) { all, (environment, variants) ->
            all.put(environment, persistentHashMapOf<Resource, Variant>().putAll(variants.associateBy { it.resource }))
          },
        environmentBytes =
          application.variants
            .map { it.environment }
            .distinct()
            .sumOf { it.bytes },
      )
    }
  }
}

/** How many containers are in each state. */
internal class Counts private constructor(
  private val numbers: IntArray,
) {
  val total: Int
    get() = numbers.sum()

  /** How many are not in a final state. */
  val open: Int
    get() = sumOf { !it.isFinal }

  /** How many hold a lease. */
  val leased: Int
    get() = sumOf { it.isLeased }

  operator fun get(state: ContainerState): Int = numbers[state.ordinal]

  /** This with one service counted anew. */
  fun moved(
    old: Tally,
    new: Tally,
  ) = Counts(IntArray(states.size) { numbers[it] + new[states[it]] - old[states[it]] })

  private inline fun sumOf(isCounted: (ContainerState) -> Boolean): Int = states.sumOf { if (isCounted(it)) numbers[it.ordinal] else 0 }

  override fun equals(other: Any?): Boolean = other is Counts && numbers.contentEquals(other.numbers)

  override fun hashCode(): Int = numbers.contentHashCode()

  override fun toString(): String = states.filter { this[it] != 0 }.joinToString(", ", "{", "}") { "$it=${this[it]}" }

  companion object {
    private val states = ContainerState.values()
    val NONE = Counts(IntArray(states.size))

    fun of(tallies: Collection<Tally>) = Counts(IntArray(states.size) { number -> tallies.sumOf { it[states[number]] } })
  }
}

/** A container that has ended, by when. */
internal data class Ended(
  val time: Instant,
  val key: ContainerKey,
) : Comparable<Ended> {
  override fun compareTo(other: Ended): Int {
    val byTime = time.compareTo(other.time)
    return if (byTime != 0) byTime else key.compareTo(other.key)
  }

  companion object {
    fun of(container: Container) = Ended(checkNotNull(container.exit) { "${container.key} has not ended" }.finishTime, container.key)
  }
}

/** Whether more is kept of what it said than its last words. */
internal val Container.hasLongDiagnostics: Boolean
  get() = exit != null && exit.diagnostics.length > LAST_WORDS_MAX_LENGTH + 1

/** How long variables are. */
internal val Map<String, String>.bytes: Long
  get() = entries.sumOf { it.key.utf8Size + it.value.utf8Size }

/** An [Index] while the changes of a turn are worked into it; lives within [Edit]. */
internal class IndexEdit(
  private val from: Index,
  /** What a container of the application as it is by now waits with. */
  private val shapeOf: (Container) -> Shape,
) {
  private var waiting = from.waiting
  private val tallies = from.tallies
  private val counted = HashMap<String, TallyEdit>(2)
  private var byContainerId = from.byContainerId
  private var byOrdinal = from.byOrdinal
  private var waitingServices = from.waitingServices
  private var byNode = from.byNode
  private var deadlines = from.deadlines
  private var followed = from.followed
  private var unabridged = from.unabridged
  private var pastLeases = from.pastLeases
  private var excludedNodes = from.excludedNodes
  private var answered = from.answered
  private var answerBytes = from.answerBytes
  private var outdated = from.outdated
  private var environments = from.environments
  private var environmentBytes = from.environmentBytes

  /** Who joins [waiting]: together where nobody leaves meanwhile. */
  private val joining = ArrayList<Pair<Shape, ContainerKey>>()

  private fun tally(serviceName: String): TallyEdit = counted.getOrPut(serviceName) { (tallies[serviceName] ?: Tally.NONE).edit() }

  /** A place is new or has changed, of a service that began with [instances]. */
  fun moved(
    old: Slot?,
    new: Slot,
    instances: Int,
  ) {
    val tally = tally(new.latest.key.place.serviceName)
    if (old == null) {
      tally.forgotten(new.forgotten, new.place)
    } else {
      tally.count(old, instances, -1)
      tally.wait(old, -1)
      if (old.place != new.place) {
        tally.forgotten(old.place, -1)
        tally.forgotten(new.place, 1)
        tally.spend(old, -1)
        tally.spend(new, 1)
      }
    }
    tally.count(new, instances, 1)
    tally.wait(new, 1)
  }

  fun moved(
    old: Service?,
    new: Service,
  ) {
    move(old?.let { Deadline.of(it) }, Deadline.of(new))
    move(old?.let { Deadline.ofUpdate(it) }, Deadline.ofUpdate(new))
    waitingServices = if (new.isWaiting) waitingServices + new.name else waitingServices - new.name
  }

  /** Another attempt has come after [container]. */
  fun followed(container: Container) {
    followed += Ended.of(container)
  }

  fun moved(
    old: Container?,
    new: Container,
  ) {
    if (old?.state != new.state) {
      tally(new.key.place.serviceName).moved(old?.state, new.state)
      if (old?.state == ContainerState.REQUESTED) leave(shapeOf(old), old.key)
      if (new.state == ContainerState.REQUESTED) joining += shapeOf(new) to new.key
    }
    move(old?.lease?.nodeId?.takeIf { old.state.isLeased }, new.lease?.nodeId?.takeIf { new.state.isLeased }, new.key)
    if (old?.lease != new.lease) {
      if (old?.lease != null) byContainerId = byContainerId.remove(old.lease.containerId)
      if (new.lease != null) byContainerId = byContainerId.put(new.lease.containerId, new.key)
    }
    if (old == null && new.ordinal != new.key.place.rank) byOrdinal = byOrdinal.put(new.ref, new.key)
    move(old?.let { Deadline.of(it) }, Deadline.of(new))
    if (old?.hasLongDiagnostics == true) unabridged -= Ended.of(old)
    if (new.hasLongDiagnostics) unabridged += Ended.of(new)
  }

  /** It stays counted, as one that has failed: [Place] says where it has not. */
  fun forgotten(container: Container) {
    tally(container.key.place.serviceName).moved(container.state, ContainerState.FAILED)
    if (container.ordinal != container.key.place.rank) byOrdinal = byOrdinal.remove(container.ref)
    followed -= Ended.of(container)
    if (container.hasLongDiagnostics) unabridged -= Ended.of(container)
    container.lease?.let { byContainerId = byContainerId.remove(it.containerId) }
  }

  fun moved(
    old: Header,
    new: Header,
  ) = move(Deadline.of(old), Deadline.of(new))

  fun moved(
    old: Node?,
    new: Node?,
  ) {
    move(old?.let { Deadline.of(it) }, new?.let { Deadline.of(it) })
    if (old?.isExcluded == true && new?.isExcluded != true) excludedNodes = excludedNodes.remove(old.nodeId)
    if (new?.isExcluded == true) excludedNodes = excludedNodes.add(new.nodeId)
  }

  fun moved(
    old: Answered?,
    new: Answered?,
  ) {
    if (old != null) {
      if (old.answer == null) outdated -= old.age else answered -= old.age
      answerBytes -= old.bytes
    }
    if (new != null) {
      if (new.answer == null) outdated += new.age else answered += new.age
      answerBytes += new.bytes
    }
  }

  fun moved(
    old: KeyLease?,
    new: KeyLease?,
  ) = move(old?.let { Deadline.of(it) }, new?.let { Deadline.of(it) })

  fun added(variant: Variant) {
    val sizes = environments[variant.environment]
    if (sizes == null) environmentBytes += variant.environment.bytes
    environments = environments.put(variant.environment, (sizes ?: persistentHashMapOf()).put(variant.resource, variant))
  }

  fun passed(lease: PastLease) {
    pastLeases += lease
  }

  fun forgotten(lease: PastLease) {
    pastLeases -= lease
  }

  private fun move(
    old: Deadline?,
    new: Deadline?,
  ) {
    if (old == new) return
    if (old != null) deadlines -= old
    if (new != null) deadlines += new
  }

  private fun move(
    oldNodeId: String?,
    newNodeId: String?,
    key: ContainerKey,
  ) {
    if (oldNodeId == newNodeId) return
    if (oldNodeId != null) {
      val rest = byNode.getValue(oldNodeId).remove(key)
      byNode = if (rest.isEmpty()) byNode.remove(oldNodeId) else byNode.put(oldNodeId, rest)
    }
    if (newNodeId != null) byNode = byNode.put(newNodeId, (byNode[newNodeId] ?: persistentHashSetOf()).add(key))
  }

  private fun leave(
    shape: Shape,
    key: ContainerKey,
  ) {
    letJoin()
    waiting = waiting.minus(shape, key)
  }

  private fun letJoin() {
    when (joining.size) {
      0 -> {
        return
      }

      1 -> {
        waiting = joining.single().let { (shape, key) -> waiting.plus(shape, key) }
      }

      else -> {
        for ((shape, keys) in joining.groupBy({ it.first }, { it.second })) waiting = waiting.plus(shape, keys.sorted())
      }
    }
    joining.clear()
  }

  fun build(): Index {
    letJoin()
    return Index(
      waiting,
      countsNow(),
      talliesNow(),
      byContainerId,
      byOrdinal,
      waitingServices,
      byNode,
      deadlines,
      followed,
      unabridged,
      pastLeases,
      excludedNodes,
      answered,
      answerBytes,
      outdated,
      environments,
      environmentBytes,
    )
  }

  private fun talliesNow() = counted.entries.fold(tallies) { all, (name, tally) -> all.put(name, tally.build()) }

  private fun countsNow(): Counts =
    counted.entries.fold(from.counts) { all, (name, tally) -> all.moved(tallies[name] ?: Tally.NONE, tally.build()) }
}

package knit.am.core

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
  /** Every container that was ever granted and is not forgotten, by YARN's identifier. */
  val byContainerId: PersistentMap<String, ContainerKey> = persistentHashMapOf(),
  /** The containers that hold a lease, by node. */
  val byNode: PersistentMap<String, PersistentSet<ContainerKey>> = persistentHashMapOf(),
  val deadlines: Line<Deadline> = Line.empty(),
  /** The attempts before the latest, of all ranks: the first is forgotten first. */
  val followed: Line<Ended> = Line.empty(),
  /** Those whose diagnostics are longer than their last words: the first is abridged first. */
  val unabridged: Line<Ended> = Line.empty(),
  /** The first is forgotten first. */
  val pastLeases: Line<PastLease> = Line.empty(),
  val excludedNodes: PersistentSet<String> = persistentHashSetOf(),
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
      return Index(
        waiting = Waiting.of(containers),
        counts = Counts.of(containers.map { it.state }).plus(ContainerState.FAILED, slots.sumOf { it.forgotten }),
        byContainerId =
          persistentHashMapOf<String, ContainerKey>().putAll(
            containers.filter { it.lease != null }.associate {
              checkNotNull(it.lease).containerId to
                it.key
            },
          ),
        byNode =
          containers
            .filter { it.state.isLeased }
            .groupBy({ checkNotNull(it.lease).nodeId }, { it.key })
            .entries
            .fold(persistentHashMapOf()) { all, (nodeId, keys) -> all.put(nodeId, persistentHashSetOf<ContainerKey>().addAll(keys)) },
        deadlines = Line.of(application.nodes.values.map { Deadline.of(it) } + listOfNotNull(Deadline.of(application.header))),
        followed = Line.of(slots.flatMap { it.earlier }.map { Ended.of(it) }),
        unabridged = Line.of(containers.filter { it.hasLongDiagnostics }.map { Ended.of(it) }.asIterable()),
        pastLeases = Line.of(application.pastLeases.values),
        excludedNodes =
          persistentHashSetOf<String>().addAll(
            application.nodes.values
              .filter { it.isExcluded }
              .map { it.nodeId },
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

  fun plus(
    state: ContainerState,
    number: Int,
  ) = Counts(numbers.copyOf().also { it[state.ordinal] += number })

  /** This with one that has passed from [old], where it was counted before, to [new]. */
  fun moved(
    old: ContainerState?,
    new: ContainerState,
  ) = Counts(
    numbers.copyOf().also {
      if (old != null) it[old.ordinal]--
      it[new.ordinal]++
    },
  )

  private inline fun sumOf(isCounted: (ContainerState) -> Boolean): Int = states.sumOf { if (isCounted(it)) numbers[it.ordinal] else 0 }

  override fun equals(other: Any?): Boolean = other is Counts && numbers.contentEquals(other.numbers)

  override fun hashCode(): Int = numbers.contentHashCode()

  override fun toString(): String = states.filter { this[it] != 0 }.joinToString(", ", "{", "}") { "$it=${this[it]}" }

  companion object {
    private val states = ContainerState.values()
    val NONE = Counts(IntArray(states.size))

    fun of(all: Sequence<ContainerState>) = Counts(IntArray(states.size).also { numbers -> all.forEach { numbers[it.ordinal]++ } })
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
  get() = entries.sumOf { it.key.utf8Size.toLong() + it.value.utf8Size }

/** An [Index] while the changes of a turn are worked into it; lives within [Edit]. */
internal class IndexEdit(
  from: Index,
) {
  private var waiting = from.waiting
  private var counts = from.counts
  private var byContainerId = from.byContainerId
  private var byNode = from.byNode
  private var deadlines = from.deadlines
  private var followed = from.followed
  private var unabridged = from.unabridged
  private var pastLeases = from.pastLeases
  private var excludedNodes = from.excludedNodes
  private var environments = from.environments
  private var environmentBytes = from.environmentBytes

  /** Who joins [waiting]: together where nobody leaves meanwhile. */
  private val joining = ArrayList<Container>()

  /** A place is new; so many attempts there were before those that are known, and each of them had failed. */
  fun placed(forgotten: Int) {
    if (forgotten > 0) counts = counts.plus(ContainerState.FAILED, forgotten)
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
      counts = counts.moved(old?.state, new.state)
      if (old?.state == ContainerState.REQUESTED) leave(old)
      if (new.state == ContainerState.REQUESTED) joining += new
    }
    move(old?.lease?.nodeId?.takeIf { old.state.isLeased }, new.lease?.nodeId?.takeIf { new.state.isLeased }, new.key)
    if (new.lease != null && old?.lease == null) byContainerId = byContainerId.put(new.lease.containerId, new.key)
    if (old?.hasLongDiagnostics == true) unabridged -= Ended.of(old)
    if (new.hasLongDiagnostics) unabridged += Ended.of(new)
  }

  /** Its number stays in [counts]. */
  fun forgotten(container: Container) {
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

  private fun leave(container: Container) {
    letJoin()
    waiting = waiting.minus(container.resource, container.key)
  }

  private fun letJoin() {
    when (joining.size) {
      0 -> {
        return
      }

      1 -> {
        waiting = waiting.plus(joining.single().resource, joining.single().key)
      }

      else -> {
        for ((size, keys) in joining.groupBy({ it.resource }, { it.key })) waiting = waiting.plus(size, keys.sorted())
      }
    }
    joining.clear()
  }

  fun build(): Index {
    letJoin()
    return Index(
      waiting,
      counts,
      byContainerId,
      byNode,
      deadlines,
      followed,
      unabridged,
      pastLeases,
      excludedNodes,
      environments,
      environmentBytes,
    )
  }
}

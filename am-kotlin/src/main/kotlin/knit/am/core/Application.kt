package knit.am.core

import kotlinx.collections.immutable.PersistentList
import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.PersistentSet
import kotlinx.collections.immutable.persistentHashMapOf
import kotlinx.collections.immutable.persistentHashSetOf
import kotlinx.collections.immutable.persistentListOf
import kotlinx.collections.immutable.persistentMapOf
import java.time.Instant

/** Where an application is in its life. */
enum class Phase {
  /** Containers are wanted or running, or none was asked for yet. */
  RUNNING,

  /** The outcome is decided; what still runs is being stopped. */
  ENDING,

  /** Final: every container is in a final state and the outcome goes to YARN. */
  ENDED,
}

/** Everything that has filled one place, by attempt, and what the place's budgets have been spent on. */
data class PlaceHistory(
  val attempts: PersistentList<Container>,
  val restarts: Int = 0,
  val replacements: Int = 0,
) {
  /** The only one that may not be final. */
  val latest: Container
    get() = attempts[attempts.lastIndex]
}

/**
 * An application at one moment: immutable, so anyone may read it anywhere.
 *
 * Only [on] makes the next one. Its parts share what did not change, and what is asked often is counted along the way,
 * so that an event costs about the same with ten containers as with ten thousand. Two snapshots are equal only if they
 * are the same one, for the same reason.
 *
 * An application ends when at least one container was asked for and all of them are final. One that begins with
 * none therefore waits for a client to add some, or to end it.
 */
@ConsistentCopyVisibility
data class Application internal constructor(
  val id: String,
  /** Which start of the Application Master this is, from 1. */
  val attemptNumber: Int,
  /** By name, in the order of the names. */
  val services: Map<String, ServiceSpec>,
  val phase: Phase = Phase.RUNNING,
  /** Set once the phase is no longer [Phase.RUNNING]. */
  val outcome: Outcome? = null,
  /** When the Application Master registered with the RM. */
  val startTime: Instant? = null,
  /** The most YARN grants to one container; null until registered. */
  val maxResource: Resource? = null,
  /** The first container that failed with its place's budgets spent. */
  val firstFailure: Container? = null,
  /** By service name, in its order, then by rank: ranks have no gaps. */
  internal val places: PersistentMap<String, PersistentList<PlaceHistory>> = persistentMapOf(),
  internal val waiting: Waiting = Waiting.NONE,
  internal val counts: PersistentMap<ContainerState, Int> = persistentMapOf(),
  /** Every container that was ever granted, by YARN's identifier. */
  internal val keys: PersistentMap<String, ContainerKey> = persistentHashMapOf(),
  /** The containers that hold a lease, by node. */
  internal val leased: PersistentMap<String, PersistentSet<ContainerKey>> = persistentHashMapOf(),
  /** Grants that were given back at once, by YARN's identifier; the same may be reported again. */
  internal val surplus: PersistentSet<String> = persistentHashSetOf(),
  /** What each request that may be repeated has added. */
  internal val added: PersistentMap<String, List<ContainerKey>> = persistentHashMapOf(),
  /** How many containers failed for reasons that speak against their node. */
  internal val nodeFailures: PersistentMap<String, Int> = persistentHashMapOf(),
  /**
   * The nodes no more containers should be asked for on, for two or more failed there to launch or for their disks.
   *
   * A wish, not a ban: where it names every node there is, asking for nothing would wait forever.
   */
  val excludedNodes: Set<String> = emptySet(),
  /** Why the specification cannot be run at all; it ends the application once there is an RM to tell. */
  internal val problem: String? = null,
) {
  /** All containers, ended ones included, by service name, rank and attempt number. */
  val containers: Sequence<Container>
    get() = services.keys.asSequence().flatMap { containersOf(it) }

  /** How many containers there are, ended ones included. */
  val size: Int
    get() = counts.values.sum()

  /** How many containers are in [state]. */
  fun count(state: ContainerState): Int = counts[state] ?: 0

  /** How many containers are not in a final state. */
  val openCount: Int
    get() = counts.entries.sumOf { if (it.key.isFinal) 0 else it.value }

  /** How many containers hold a lease of YARN's. */
  val leasedCount: Int
    get() = counts.entries.sumOf { if (it.key.isLeased) it.value else 0 }

  /** How many containers of each size YARN should be asked for: no size whose number would be 0. */
  fun wanted(): Map<Resource, Int> = waiting.counts

  /** The containers of one service, by rank and attempt number; none if there is no such service. */
  fun containersOf(serviceName: String): Sequence<Container> = places[serviceName].orEmpty().asSequence().flatMap { it.attempts }

  fun container(key: ContainerKey): Container? = place(key.place)?.attempts?.getOrNull(key.attemptNumber - 1)

  /** The container with YARN's identifier; null if none of this application's had it. */
  fun container(containerId: String): Container? = keys[containerId]?.let { container(it) }

  /** What fills [place], is asked for to fill it, or was the last to. */
  fun latest(place: Place): Container? = place(place)?.latest

  internal fun place(place: Place): PlaceHistory? = places[place.serviceName]?.getOrNull(place.rank)

  override fun equals(other: Any?): Boolean = this === other

  override fun hashCode(): Int = System.identityHashCode(this)

  override fun toString(): String = "Application($id, attempt $attemptNumber, $phase, $counts, outcome=$outcome)"

  companion object {
    /** The application as it begins: every instance of every service is asked for. */
    fun start(
      id: String,
      attemptNumber: Int,
      services: Map<String, ServiceSpec>,
      now: Instant,
    ): Application {
      val sorted = services.toSortedMap()
      val empty = persistentMapOf<String, PersistentList<PlaceHistory>>().putAll(sorted.mapValues { persistentListOf() })
      val application = Application(id, attemptNumber, sorted, places = empty, problem = problemIn(services))
      if (application.problem != null) return application
      return sorted.entries.fold(application) { soFar, (name, service) ->
        soFar.requesting(name, service.instances, service.resource, emptyMap(), now)
      }
    }
  }
}

/** This with [count] containers asked for at the ranks after the service's highest. */
internal fun Application.requesting(
  serviceName: String,
  count: Int,
  resource: Resource,
  environment: Map<String, String>,
  now: Instant,
): Application {
  val histories = places.getValue(serviceName)
  val requested =
    List(count) {
      val key = ContainerKey(Place(serviceName, histories.size + it), 1)
      Container(key, ContainerState.REQUESTED, resource, environment, requestTime = now)
    }
  return copy(
    places = places.put(serviceName, histories.addAll(requested.map { PlaceHistory(persistentListOf(it)) })),
    waiting = requested.fold(waiting) { line, container -> line.plus(resource, container.key) },
    counts = counts.plus(ContainerState.REQUESTED, count),
  )
}

/** This with the next attempt asked for at the place of [failed], whose history becomes [charged]. */
internal fun Application.following(
  failed: Container,
  charged: PlaceHistory,
  now: Instant,
): Application {
  val key = failed.key.copy(attemptNumber = failed.key.attemptNumber + 1)
  val next = Container(key, ContainerState.REQUESTED, failed.resource, failed.environment, requestTime = now)
  return copy(
    places = places.replacing(key.place, charged.copy(attempts = charged.attempts.add(next))),
    waiting = waiting.plus(next.resource, key),
    counts = counts.plus(ContainerState.REQUESTED, 1),
  )
}

/** This with [changed] in the place of the container of the same key, and every count and index in step with it. */
internal fun Application.replacing(changed: Container): Application {
  val history = checkNotNull(place(changed.key.place)) { "there is no ${changed.key}" }
  val index = changed.key.attemptNumber - 1
  val old = history.attempts[index]
  check(changed.state == old.state || changed.state in old.state.next) { "${old.key} cannot pass from ${old.state} to ${changed.state}" }
  val next =
    copy(
      places = places.replacing(changed.key.place, history.copy(attempts = history.attempts.set(index, changed))),
      counts = counts.plus(old.state, -1).plus(changed.state, 1),
      keys = changed.lease?.let { keys.put(it.containerId, changed.key) } ?: keys,
      leased = leased.moving(old, changed),
    )
  if (old.state != ContainerState.REQUESTED || changed.state == ContainerState.REQUESTED) return next
  return next.copy(waiting = waiting.minus(old.resource) { next.container(it)?.state == ContainerState.REQUESTED })
}

/** This with one more failure held against [nodeId]. */
internal fun Application.blaming(nodeId: String): Application {
  val failures = (nodeFailures[nodeId] ?: 0) + 1
  return copy(
    nodeFailures = nodeFailures.put(nodeId, failures),
    excludedNodes = if (failures == NODE_FAILURES_TO_EXCLUDE) excludedNodes + nodeId else excludedNodes,
  )
}

private fun PersistentMap<String, PersistentList<PlaceHistory>>.replacing(
  place: Place,
  history: PlaceHistory,
) = put(place.serviceName, getValue(place.serviceName).set(place.rank, history))

private fun PersistentMap<ContainerState, Int>.plus(
  state: ContainerState,
  number: Int,
) = put(state, (this[state] ?: 0) + number)

private fun PersistentMap<String, PersistentSet<ContainerKey>>.moving(
  old: Container,
  changed: Container,
): PersistentMap<String, PersistentSet<ContainerKey>> {
  val nodeId = changed.lease?.nodeId
  if (nodeId == null || old.state.isLeased == changed.state.isLeased) return this
  val there = this[nodeId] ?: persistentHashSetOf()
  val rest = if (changed.state.isLeased) there.add(changed.key) else there.remove(changed.key)
  return if (rest.isEmpty()) remove(nodeId) else put(nodeId, rest)
}

package knit.am.core

import kotlinx.collections.immutable.PersistentList
import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.PersistentSet
import kotlinx.collections.immutable.persistentHashMapOf
import kotlinx.collections.immutable.persistentHashSetOf
import kotlinx.collections.immutable.persistentListOf
import kotlinx.collections.immutable.persistentMapOf
import kotlinx.collections.immutable.persistentSetOf
import java.time.Instant

/** Where an application is in its life. */
enum class Phase {
  /** Containers are wanted or running, or none was asked for yet. */
  RUNNING,

  /** The outcome is decided; what still runs is being stopped. */
  ENDING,

  /** Every container is in a final state; YARN is being told the outcome. */
  REPORTING,

  /** Final: YARN has taken note of the outcome. */
  ENDED,
}

/** What has filled one place, by attempt, and what the place's budgets have been spent on. */
internal data class PlaceHistory(
  /** The latest ones; see [Retention]. */
  val attempts: PersistentList<Container>,
  /** How many attempts there were before those. */
  val forgotten: Int = 0,
  val restarts: Int = 0,
  val replacements: Int = 0,
) {
  /** The only one that may not be final. */
  val latest: Container
    get() = attempts[attempts.lastIndex]

  fun attempt(number: Int): Container? = attempts.getOrNull(number - 1 - forgotten)
}

/** What a request that may be repeated has added: its answer, but for what is the same in all of the containers. */
internal data class Addition(
  val serviceName: String,
  val firstRank: Int,
  val count: Int,
  val resource: Resource,
  val environment: Map<String, String>,
  val requestTime: Instant,
) {
  /** As they were when they were added. */
  fun containers(): List<Container> =
    List(count) {
      Container(ContainerKey(PlaceKey(serviceName, firstRank + it), 1), ContainerState.REQUESTED, resource, environment, requestTime)
    }
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
  /** Names everything that is remembered here: another one for each attempt, for none recovers what the one before knew. */
  val historyId: String,
  /** By name, in the order of the names. */
  val services: Map<String, ServiceSpec>,
  val phase: Phase = Phase.RUNNING,
  /** Set once the phase is no longer [Phase.RUNNING]. */
  val outcome: Outcome? = null,
  /** When the Application Master registered with the RM. */
  val startTime: Instant? = null,
  /** The most YARN grants to one container now; null until registered. */
  val maxResource: Resource? = null,
  /** The first container that failed with its place's budgets spent. */
  val firstFailure: Container? = null,
  /** By service name, in its order, then by rank: ranks have no gaps. */
  internal val places: PersistentMap<String, PersistentList<PlaceHistory>> = persistentMapOf(),
  internal val waiting: Waiting = Waiting.NONE,
  internal val counts: PersistentMap<ContainerState, Int> = persistentMapOf(),
  /** Every container that was ever granted and is not forgotten, by YARN's identifier. */
  internal val keys: PersistentMap<String, ContainerKey> = persistentHashMapOf(),
  /** The containers that hold a lease, by node. */
  internal val leased: PersistentMap<String, PersistentSet<ContainerKey>> = persistentHashMapOf(),
  /** What each request that may be repeated has added; as many as there are ranks at most. */
  internal val added: PersistentMap<String, Addition> = persistentHashMapOf(),
  /** The variables of containers that were added with some of their own: equal ones are kept once. */
  internal val environments: PersistentMap<Map<String, String>, Map<String, String>> = persistentHashMapOf(),
  /** How long [environments] are. */
  internal val environmentBytes: Long = 0,
  internal val blames: NodeBlames = NodeBlames.NONE,
  /** What is kept of what has ended, and the oldest of each first. */
  internal val retention: Retention = Retention(),
  /** The attempts before the latest, of all ranks. */
  internal val followed: PersistentSet<ContainerKey> = persistentSetOf(),
  /** Those whose diagnostics are longer than their last words. */
  internal val unabridged: PersistentSet<ContainerKey> = persistentSetOf(),
  /** By YARN's identifier, leases that were given back at once or whose containers are forgotten: the same may be reported again. */
  internal val pastLeases: PersistentSet<String> = persistentSetOf(),
  /** While it is ending: when YARN has said nothing for too long. */
  internal val endDeadline: Instant? = null,
  /** Whether what had not ended by the first [endDeadline] has been given back to YARN. */
  internal val isGivenBack: Boolean = false,
  /** Why the specification cannot be run at all; it ends the application once there is an RM to tell. */
  internal val problem: String? = null,
) {
  /** The containers, ended ones included as far as [Retention] keeps them, by service name, rank and attempt number. */
  val containers: Sequence<Container>
    get() = services.keys.asSequence().flatMap { containersOf(it) }

  /** How many containers there are and were. */
  val size: Int
    get() = counts.values.sum()

  /** How many containers are in [state], forgotten ones included. */
  fun count(state: ContainerState): Int = counts[state] ?: 0

  /** How many ranks there are. */
  internal val placeCount: Int
    get() = places.values.sumOf { it.size }

  /** How many containers are not in a final state. */
  val openCount: Int
    get() = counts.entries.sumOf { if (it.key.isFinal) 0 else it.value }

  /** How many containers hold a lease of YARN's. */
  val leasedCount: Int
    get() = counts.entries.sumOf { if (it.key.isLeased) it.value else 0 }

  /** Whether every container has ended: nothing is left to ask of YARN but to take note of the outcome. */
  val isDone: Boolean
    get() = phase >= Phase.REPORTING

  /**
   * The nodes no more containers should be asked for on, for two failed there lately to launch or for their disks.
   *
   * A wish, not a ban: where it names every node there is, asking for nothing would wait forever.
   */
  val excludedNodes: Set<String>
    get() = blames.excludedNodes

  /** When [Due] should come; null: there is nothing to wait for. */
  val nextDeadline: Instant?
    get() = listOfNotNull(endDeadline, blames.forgiveTime).minOrNull()

  /** How many containers of each size YARN should be asked for: no size whose number would be 0. */
  fun wanted(): Map<Resource, Int> = waiting.counts

  /** How many containers of each size wait for a grant, by the name of their service. */
  fun waitingByService(): Map<Resource, Map<String, Int>> = waiting.countsByService

  /** The containers of one service, by rank and attempt number, from [firstRank] on; none if there is no such service. */
  fun containersOf(
    serviceName: String,
    firstRank: Int = 0,
  ): Sequence<Container> {
    val histories = places[serviceName] ?: return emptySequence()
    return Sequence { histories.listIterator(firstRank.coerceIn(0, histories.size)) }.flatMap { it.attempts }
  }

  fun container(key: ContainerKey): Container? = place(key.place)?.attempt(key.attemptNumber)

  /** The container with YARN's identifier; null if none of this application's had it, or it is forgotten. */
  fun container(containerId: String): Container? = keys[containerId]?.let { container(it) }

  /** Whether YARN's grant of this lease has been heard. */
  fun knows(containerId: String): Boolean = containerId in keys || containerId in pastLeases

  /** What fills [place], is asked for to fill it, or was the last to. */
  fun latest(place: PlaceKey): Container? = place(place)?.latest

  internal fun place(place: PlaceKey): PlaceHistory? = places[place.serviceName]?.getOrNull(place.rank)

  override fun equals(other: Any?): Boolean = this === other

  override fun hashCode(): Int = System.identityHashCode(this)

  override fun toString(): String = "Application($id, attempt $attemptNumber, $phase, $counts, outcome=$outcome)"

  companion object {
    /** The application as it begins: every instance of every service is asked for, unless there is a [problem]. */
    fun start(
      id: String,
      attemptNumber: Int,
      historyId: String,
      services: Map<String, ServiceSpec>,
      now: Instant,
      problem: String? = problemIn(services),
    ): Application {
      val sorted = services.toSortedMap()
      val empty = persistentMapOf<String, PersistentList<PlaceHistory>>().putAll(sorted.mapValues { persistentListOf() })
      val application = Application(id, attemptNumber, historyId, sorted, places = empty, problem = problem)
      if (problem != null) return application
      return sorted.entries.fold(application) { soFar, (name, service) ->
        soFar.requesting(Addition(name, 0, service.instances, service.resource, emptyMap(), now))
      }
    }
  }
}

/** This with the containers of [addition] asked for, which begin at the rank after the service's highest. */
internal fun Application.requesting(addition: Addition): Application {
  val histories = places.getValue(addition.serviceName)
  check(addition.firstRank == histories.size) { "the next rank of ${addition.serviceName} is ${histories.size}" }
  val requested = addition.containers()
  return copy(
    places = places.put(addition.serviceName, histories.addAll(requested.map { PlaceHistory(persistentListOf(it)) })),
    waiting = requested.fold(waiting) { line, container -> line.plus(container.resource, container.key) },
    counts = counts.plus(ContainerState.REQUESTED, addition.count),
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
    followed = followed.add(failed.key),
  ).withinRetention(key.place)
}

/** This without the oldest attempts that are too many, at [place] and in all. */
private fun Application.withinRetention(place: PlaceKey): Application {
  val history = checkNotNull(place(place))
  val atPlace = if (history.attempts.size - 1 > retention.attemptsPerRank) forgetting(history.attempts.first()) else this
  return if (atPlace.followed.size > retention.attempts) {
    atPlace.forgetting(checkNotNull(atPlace.container(atPlace.followed.first())))
  } else {
    atPlace
  }
}

/** This without [container], the oldest attempt of its place and not the latest. */
private fun Application.forgetting(container: Container): Application {
  val key = container.key
  val history = checkNotNull(place(key.place))
  check(history.attempts.size > 1 && history.attempts.first() === container) { "$key is not the oldest of several" }
  val rest = history.copy(attempts = history.attempts.removeAt(0), forgotten = history.forgotten + 1)
  val without =
    copy(
      places = places.replacing(key.place, rest),
      followed = followed.remove(key),
      unabridged = unabridged.remove(key),
    )
  val containerId = container.lease?.containerId ?: return without
  return without.copy(keys = keys.remove(containerId)).withPastLease(containerId)
}

/** This with a lease that no container has, should YARN speak of it again. */
internal fun Application.withPastLease(containerId: String): Application {
  val added = pastLeases.add(containerId)
  return copy(pastLeases = if (added.size > retention.leases) added.remove(added.first()) else added)
}

/** This with [changed] in the place of the container of the same key, and every count and index in step with it. */
internal fun Application.replacing(changed: Container): Application {
  val history = checkNotNull(place(changed.key.place)) { "there is no ${changed.key}" }
  val old = checkNotNull(history.attempt(changed.key.attemptNumber)) { "${changed.key} is forgotten" }
  check(changed.state == old.state || changed.state in old.state.next) { "${old.key} cannot pass from ${old.state} to ${changed.state}" }
  val next =
    copy(
      places = places.replacing(changed.key.place, history.with(changed)),
      counts = counts.plus(old.state, -1).plus(changed.state, 1),
      keys = changed.lease?.let { keys.put(it.containerId, changed.key) } ?: keys,
      leased = leased.moving(old, changed),
      unabridged = if (changed.exit.isLong) unabridged.add(changed.key) else unabridged,
    ).abridged()
  if (old.state != ContainerState.REQUESTED || changed.state == ContainerState.REQUESTED) return next
  return next.copy(
    waiting = waiting.minus(old.resource, old.key.place.serviceName) { next.container(it)?.state == ContainerState.REQUESTED },
  )
}

private val ContainerExit?.isLong: Boolean
  get() = this != null && diagnostics.length > LAST_WORDS_MAX_LENGTH + 1

/** This with the last words only of the container that ended first, if too many have more. */
private fun Application.abridged(): Application {
  if (unabridged.size <= retention.diagnostics) return this
  val key = unabridged.first()
  val container = checkNotNull(container(key))
  val exit = checkNotNull(container.exit)
  val short = container.copy(exit = exit.copy(diagnostics = lastWords(exit.diagnostics).orEmpty()))
  val history = checkNotNull(place(key.place))
  return copy(places = places.replacing(key.place, history.with(short)), unabridged = unabridged.remove(key))
}

private fun PlaceHistory.with(container: Container) = copy(attempts = attempts.set(container.key.attemptNumber - 1 - forgotten, container))

private fun PersistentMap<String, PersistentList<PlaceHistory>>.replacing(
  place: PlaceKey,
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

package knit.am.core

import kotlinx.collections.immutable.PersistentList
import kotlinx.collections.immutable.persistentListOf
import java.util.TreeMap

/** This with the next turn's changes. Decides nothing, and fails on nothing that [decide] has made. */
internal fun Application.with(turn: ChangeSet): Application {
  check(turn.sequence > sequence) { "the turn ${turn.sequence} comes after $sequence" }
  return applying(turn.changes, 0, turn.sequence)
}

/** This with [changes] of the turn [sequence] from [first] on: those before it are in already. */
internal fun Application.applying(
  changes: List<Change>,
  first: Int,
  sequence: Long,
): Application {
  val edit = Edit(this)
  for (position in first until changes.size) edit.apply(changes[position])
  return edit.build(sequence)
}

/** All records as changes, in an order in which they can be applied to [Application.NOTHING]. */
fun Application.asChanges(): Sequence<Change> =
  sequence {
    yield(HeaderChanged(header))
    services.forEach { (name, spec) -> yield(SpecChanged(name, spec)) }
    variants.forEach { yield(VariantAdded(it)) }
    containers.forEach { yield(ContainerChanged(it)) }
    for (name in services.keys) slots.getValue(name).forEach { slot -> slot.place?.let { yield(PlaceChanged(it)) } }
    nodes.values.sortedBy { it.nodeId }.forEach { yield(NodeChanged(it)) }
    pastLeases.values.sorted().forEach { yield(LeasePassed(it)) }
    answers.values.sortedBy { it.requestId }.forEach { yield(RequestAnswered(it)) }
  }

/**
 * An application while changes are worked into it.
 *
 * Most turns change one record or two, so that nothing is made ready for more, but for ranks: of a service many change at once.
 */
private class Edit(
  private val from: Application,
) {
  private var header = from.header
  private var services: TreeMap<String, ServiceSpec>? = null
  private var slots = from.slots
  private var variants = from.variants
  private var nodes = from.nodes
  private var answers = from.answers
  private var pastLeases = from.pastLeases
  private val index = IndexEdit(from.index)

  /** The service whose ranks are [ranks], which are not in [slots] yet. */
  private var openService = ""
  private var ranks: PersistentList.Builder<Slot>? = null

  fun apply(change: Change) {
    when (change) {
      is HeaderChanged -> {
        index.moved(header, change.header)
        header = change.header
      }

      is SpecChanged -> {
        (services ?: TreeMap(from.services).also { services = it })[change.serviceName] = change.spec
        slots(change.serviceName)
      }

      is VariantAdded -> {
        check(change.variant.number == variants.size) { "the next variant is ${variants.size}" }
        variants = variants.add(change.variant)
        index.added(change.variant)
      }

      is PlaceChanged -> {
        val slots = slots(change.place.key.serviceName)
        slots[change.place.key.rank] = slots[change.place.key.rank].copy(place = change.place)
      }

      is ContainerChanged -> {
        apply(change.container)
      }

      is ContainerAbridged -> {
        apply(change.container)
      }

      is ContainerForgotten -> {
        forget(change.key)
      }

      is NodeChanged -> {
        index.moved(nodes[change.node.nodeId], change.node)
        nodes = nodes.put(change.node.nodeId, change.node)
      }

      is NodeForgiven -> {
        index.moved(nodes[change.nodeId], null)
        nodes = nodes.remove(change.nodeId)
      }

      is LeasePassed -> {
        if (change.lease.containerId !in pastLeases) index.passed(change.lease)
        pastLeases = pastLeases.put(change.lease.containerId, change.lease)
      }

      is PastLeaseForgotten -> {
        if (change.lease.containerId in pastLeases) index.forgotten(change.lease)
        pastLeases = pastLeases.remove(change.lease.containerId)
      }

      is RequestAnswered -> {
        answers = answers.put(change.answered.requestId, change.answered)
      }
    }
  }

  private fun apply(container: Container) {
    val key = container.key
    val slots = slots(key.place.serviceName)
    check(key.place.rank <= slots.size) { "the next rank of ${key.place.serviceName} is ${slots.size}" }
    if (key.place.rank == slots.size) {
      slots += Slot(null, container, persistentListOf())
      index.placed(key.attemptNumber - 1)
      index.moved(null, container)
      return
    }
    val slot = slots[key.place.rank]
    val next = slot.latest.key.attemptNumber + 1
    if (key.attemptNumber == next) {
      slots[key.place.rank] = slot.copy(latest = container, earlier = slot.earlier.add(slot.latest))
      index.followed(slot.latest)
      index.moved(null, container)
      return
    }
    val old = checkNotNull(slot.attempt(key.attemptNumber)) { "$key is forgotten, or to come" }
    check(container.state == old.state || container.state in old.state.next) { "$key cannot pass from ${old.state} to ${container.state}" }
    slots[key.place.rank] = slot.with(container)
    index.moved(old, container)
  }

  private fun forget(key: ContainerKey) {
    val slots = slots(key.place.serviceName)
    val slot = slots[key.place.rank]
    val oldest = checkNotNull(slot.earlier.firstOrNull()) { "$key is all there is at its place" }
    check(oldest.key == key) { "$key is not the oldest of its place" }
    check(oldest.state == ContainerState.FAILED) { "$key has not failed, and its number would be counted as if it had" }
    slots[key.place.rank] = slot.copy(earlier = slot.earlier.removeAt(0))
    index.forgotten(oldest)
  }

  private fun slots(serviceName: String): PersistentList.Builder<Slot> {
    ranks?.let { if (serviceName == openService) return it }
    close()
    openService = serviceName
    return (slots[serviceName] ?: persistentListOf()).builder().also { ranks = it }
  }

  private fun close() {
    ranks?.let { slots = slots.put(openService, it.build()) }
  }

  fun build(sequence: Long): Application {
    close()
    return Application(
      header,
      services ?: from.services,
      slots,
      variants,
      nodes,
      answers,
      pastLeases,
      index.build(),
      sequence,
      from.retention,
    )
  }
}

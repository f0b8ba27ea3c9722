package knit.am.core

import kotlinx.collections.immutable.PersistentList
import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.persistentListOf
import java.util.TreeMap

/** This with the next turn's changes. Decides nothing, and fails on nothing that [decide] has made. */
internal fun Application.with(turn: ChangeSet): Application {
  check(turn.sequence > sequence) { "the turn ${turn.sequence} comes after $sequence" }
  return applying(turn.changes, turn.sequence)
}

/** This with [changes], which belong to the turn [sequence] and may be a part of it. */
internal fun Application.applying(
  changes: List<Change>,
  sequence: Long,
): Application {
  val edit = Edit(this)
  changes.forEach(edit::apply)
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

/** An application while changes are worked into it: what is touched is copied once, however often it changes. */
private class Edit(
  private val from: Application,
) {
  private var header = from.header
  private var services: TreeMap<String, ServiceSpec>? = null
  private val slots = HashMap<String, PersistentList.Builder<Slot>>()
  private val variants = lazy { from.variants.builder() }
  private val nodes = lazy { from.nodes.builder() }
  private val answers = lazy { from.answers.builder() }
  private val pastLeases = lazy { from.pastLeases.builder() }
  private val index = IndexEdit(from.index)

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
        check(change.variant.number == variants.value.size) { "the next variant is ${variants.value.size}" }
        variants.value += change.variant
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
        index.moved(nodes.value.put(change.node.nodeId, change.node), change.node)
      }

      is NodeForgiven -> {
        index.moved(nodes.value.remove(change.nodeId), null)
      }

      is LeasePassed -> {
        if (pastLeases.value.put(change.lease.containerId, change.lease) == null) index.passed(change.lease)
      }

      is PastLeaseForgotten -> {
        if (pastLeases.value.remove(change.lease.containerId) != null) index.forgotten(change.lease)
      }

      is RequestAnswered -> {
        answers.value[change.answered.requestId] = change.answered
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

  private fun slots(serviceName: String): PersistentList.Builder<Slot> =
    slots.getOrPut(serviceName) { (from.slots[serviceName] ?: persistentListOf()).builder() }

  fun build(sequence: Long) =
    Application(
      header,
      services ?: from.services,
      slots.entries.fold(from.slots) { all, (name, changed) -> all.put(name, changed.build()) },
      if (variants.isInitialized()) variants.value.build() else from.variants,
      nodes.builtOr(from.nodes),
      answers.builtOr(from.answers),
      pastLeases.builtOr(from.pastLeases),
      index.build(),
      sequence,
      from.retention,
    )

  private fun <K, V> Lazy<PersistentMap.Builder<K, V>>.builtOr(unchanged: PersistentMap<K, V>): PersistentMap<K, V> =
    if (isInitialized()) value.build() else unchanged
}

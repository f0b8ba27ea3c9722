package knit.am.core

import kotlinx.collections.immutable.PersistentList
import kotlinx.collections.immutable.persistentHashMapOf
import kotlinx.collections.immutable.persistentListOf

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
    annotations.keys.sorted().forEach { yield(AnnotationChanged(it, annotations.getValue(it))) }
    for (name in serviceNames) {
      specs
        .getValue(name)
        .entries
        .sortedBy { it.key }
        .forEach { (revision, spec) -> yield(SpecAdded(name, revision, spec)) }
      yield(ServiceChanged(services.getValue(name)))
    }
    variants.forEach { yield(VariantAdded(it)) }
    containers.forEach { yield(ContainerChanged(it)) }
    for (name in serviceNames) slots.getValue(name).forEach { slot -> slot.place?.let { yield(PlaceChanged(it)) } }
    nodes.values.sortedBy { it.nodeId }.forEach { yield(NodeChanged(it)) }
    pastLeases.values.sorted().forEach { yield(LeasePassed(it)) }
    answers.values.sortedBy { it.requestId }.forEach { yield(RequestAnswered(it)) }
    keyLeases.values.sortedBy { it.id }.forEach { yield(LeaseChanged(it.id, it)) }
    keyValues.list().forEach { yield(KeyChanged(it.key, it, null)) }
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
  private var services = from.services
  private var serviceNames = from.serviceNames
  private var specs = from.specs
  private var slots = from.slots
  private var variants = from.variants
  private var nodes = from.nodes
  private var annotations = from.annotations
  private var answers = from.answers
  private var keyValues = from.keyValues
  private var keyLeases = from.keyLeases
  private var pastLeases = from.pastLeases
  private val index = IndexEdit(from.index, ::shapeOf)

  /** The service whose ranks are [ranks], which are not in [slots] yet. */
  private var openService = ""
  private var ranks: PersistentList.Builder<Slot>? = null

  fun apply(change: Change) {
    when (change) {
      is HeaderChanged -> {
        index.moved(header, change.header)
        header = change.header
      }

      is ServiceChanged -> {
        apply(change.service)
      }

      is SpecAdded -> {
        specs = specs.put(change.serviceName, (specs[change.serviceName] ?: persistentHashMapOf()).put(change.revision, change.spec))
      }

      is SpecForgotten -> {
        specs = specs.put(change.serviceName, specs.getValue(change.serviceName).remove(change.revision))
      }

      is VariantAdded -> {
        check(change.variant.number == variants.size) { "the next variant is ${variants.size}" }
        variants = variants.add(change.variant)
        index.added(change.variant)
      }

      is PlaceChanged -> {
        val slots = slots(change.place.key.serviceName)
        val slot = slots[change.place.key.rank]
        put(slot, slot.copy(place = change.place))
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

      is Noticed -> {}

      is AnnotationChanged -> {
        annotations = if (change.value == null) annotations.remove(change.name) else annotations.put(change.name, change.value)
      }

      is RequestAnswered -> {
        index.moved(answers[change.answered.requestId], change.answered)
        answers = answers.put(change.answered.requestId, change.answered)
      }

      is RequestForgotten -> {
        index.moved(answers[change.requestId], null)
        answers = answers.remove(change.requestId)
      }

      is KeyChanged -> {
        keyValues = if (change.current == null) keyValues.minus(change.key) else keyValues.plus(change.current)
      }

      is LeaseKept -> {
        index.moved(keyLeases[change.lease.id], change.lease)
        keyLeases = keyLeases.put(change.lease.id, change.lease)
      }

      is LeaseChanged -> {
        index.moved(keyLeases[change.id], change.lease)
        keyLeases = if (change.lease == null) keyLeases.remove(change.id) else keyLeases.put(change.id, change.lease)
      }
    }
  }

  private fun shapeOf(container: Container): Shape =
    header.shapeOf(container, specs.getValue(container.key.place.serviceName).getValue(container.revision))

  private fun apply(service: Service) {
    val old = services[service.name]
    if (old == null) {
      check(service.name in specs) { "${service.name} has no specification" }
      val place = serviceNames.binarySearch(service.name).inv()
      serviceNames = serviceNames.subList(0, place) + service.name + serviceNames.subList(place, serviceNames.size)
      slots(service.name)
    }
    services = services.put(service.name, service)
    index.moved(old, service)
  }

  private fun apply(container: Container) {
    val key = container.key
    val slots = slots(key.place.serviceName)
    check(key.place.rank <= slots.size) { "the next rank of ${key.place.serviceName} is ${slots.size}" }
    if (key.place.rank == slots.size) {
      put(null, Slot(null, container, persistentListOf()))
      index.moved(null, container)
      return
    }
    val slot = slots[key.place.rank]
    val next = slot.latest.key.attemptNumber + 1
    if (key.attemptNumber == next) {
      put(slot, slot.copy(latest = container, earlier = slot.earlier.add(slot.latest)))
      if (slot.latest.state.isFinal) index.followed(slot.latest)
      index.moved(null, container)
      return
    }
    val old = checkNotNull(slot.attempt(key.attemptNumber)) { "$key is forgotten, or to come" }
    check(container.state == old.state || container.state in old.state.next) { "$key cannot pass from ${old.state} to ${container.state}" }
    put(slot, slot.with(container))
    if (key.attemptNumber < next - 1 && container.state.isFinal && !old.state.isFinal) index.followed(container)
    index.moved(old, container)
  }

  /** Puts [new] where [old] was, or after all others. */
  private fun put(
    old: Slot?,
    new: Slot,
  ) {
    val serviceName = new.latest.key.place.serviceName
    val slots = slots(serviceName)
    if (old == null) slots += new else slots[new.latest.key.place.rank] = new
    index.moved(old, new, specs.getValue(serviceName).getValue(services.getValue(serviceName).revision).instances)
  }

  private fun forget(key: ContainerKey) {
    val slots = slots(key.place.serviceName)
    val slot = slots[key.place.rank]
    val oldest = checkNotNull(slot.earlier.firstOrNull()) { "$key is all there is at its place" }
    check(oldest.key == key) { "$key is not the oldest of its place" }
    check(oldest.state.isFinal) { "$key has not ended" }
    put(slot, slot.copy(earlier = slot.earlier.removeAt(0)))
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
      services,
      serviceNames,
      specs,
      slots,
      variants,
      nodes,
      annotations,
      answers,
      keyValues,
      keyLeases,
      pastLeases,
      index.build(),
      sequence,
      from.retention,
    )
  }
}

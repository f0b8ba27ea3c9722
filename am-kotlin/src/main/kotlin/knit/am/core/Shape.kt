package knit.am.core

/** What YARN is asked for: containers of one shape are alike to it, and share a priority number. */
data class Shape(
  val resource: Resource,
  val placement: Placement = Placement.ANYWHERE,
)

/** Where containers may be. */
data class Placement(
  /** The partition (node label) they have to be in; null: the queue's default. */
  val label: String? = null,
  /** Hosts they should be on. */
  val nodes: Set<String> = emptySet(),
  /** Racks they should be on. */
  val racks: Set<String> = emptySet(),
  /** Whether they may be nowhere else than on [nodes] and [racks]. */
  val isStrict: Boolean = false,
  val spread: Spread = Spread.NONE,
  /** The service whose containers [spread] is about; null where there is nothing to spread, and in a service's own specification. */
  val spreadOf: String? = null,
) {
  val hasNames: Boolean
    get() = nodes.isNotEmpty() || racks.isNotEmpty()

  /** Why no container can be placed so, as the end of a sentence; null if one can. */
  internal fun problem(): String? =
    when {
      label != null && hasNames -> "placement has a node_label beside names of nodes or racks, which YARN does not take together"
      isStrict && !hasNames -> "placement is strict and names neither nodes nor racks"
      nodes.size > MAX_NAMES -> "placement names ${nodes.size} nodes, of at most $MAX_NAMES; use a node label"
      racks.size > MAX_NAMES -> "placement names ${racks.size} racks, of at most $MAX_NAMES; use a node label"
      else -> null
    }

  companion object {
    val ANYWHERE = Placement()

    /** Each is a request of its own in a heartbeat, and a row in the RM. */
    const val MAX_NAMES = 50
  }
}

/** How the containers of one service lie to one another. */
enum class Spread {
  NONE,

  /** As few on each node as there is room for elsewhere. */
  EVENLY,

  /** Never two on one node. */
  ANTI_AFFINITY,
}

/** What YARN is asked for on behalf of [container], which runs [spec]. */
internal fun Header.shapeOf(
  container: Container,
  spec: ServiceSpec,
): Shape {
  val placement = spec.placement
  val label = placement.label ?: nodeLabel.takeIf { !placement.hasNames }
  val spreadOf =
    container.key.place.serviceName
      .takeIf { placement.spread != Spread.NONE }
  val isAsWritten = label == placement.label && spreadOf == placement.spreadOf
  return Shape(container.resource, if (isAsWritten) placement else placement.copy(label = label, spreadOf = spreadOf))
}

package knit.am.sim

import knit.am.core.Resource
import knit.am.core.ServiceSpec

/** Of what a [World] is made. */
internal data class Setup(
  val services: Map<String, ServiceSpec>,
  val nodes: List<NodeKind>,
  val countsVcores: Boolean,
  /** Containers run them in turn, where their service's command is none of [Commands]. */
  val programs: List<Program>,
  /** What runs beside the Application Master; null: nothing does. */
  val driver: Program? = null,
  /** Whether clients end the application when nothing else is left to happen. */
  val isEndedByClients: Boolean = false,
  val maxServices: Int = 8,
  /** Services that clients leave alone who ask for something. */
  val untouched: Set<String> = emptySet(),
  /** Whether a service that clients add may be the end of the application. */
  val mayFail: Boolean = true,
)

internal enum class NodeKind(
  val capacity: Resource,
  val partition: String = "",
) {
  SMALL(Resource(1_024, 4)),
  LARGE(Resource(6_144, 8)),

  /** Larger than all others, and not for requests without its label. */
  LABELLED(Resource(8_192, 16), "gpu"),
}

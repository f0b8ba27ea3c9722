package knit.am.yarn

import knit.am.core.Completed
import knit.am.core.Lease
import knit.am.core.Outcome
import knit.am.core.Resource

/** The few calls we make to the RM. One caller at a time, except where noted. */
internal interface ResourceManager {
  /** Does what [register] would have to do first, while there is nothing to register yet. */
  suspend fun prepare()

  /** Makes this attempt known; clients are told to look for it at [host] and [port]. */
  suspend fun register(
    host: String,
    port: Int,
  ): Registration

  /**
   * Makes what is asked of the RM equal to [demand], and returns what has happened since the last call.
   *
   * What cannot be sent now is kept and sent with the next call. Throws [LeftBehindException] where trying again is of
   * no use, anything else where it may be.
   */
  suspend fun allocate(demand: Demand): Allocation

  /** Gives a lease back with the next [allocate]. May be called by anyone at any time. */
  fun release(containerId: String)

  /** The nodes that run, or null where the RM tells this application nothing of them. May be called by anyone at any time. */
  suspend fun nodes(): List<NodeRoom>?

  /** Reports how the application ended. Nothing may be asked after it. */
  suspend fun unregister(outcome: Outcome)
}

/** The RM knows this attempt no more: another one has taken its place, or the application was ended. */
internal class LeftBehindException(
  cause: Throwable,
) : Exception("The ResourceManager does not know this attempt any more: ${cause.message}", cause)

/** What the RM says to a new attempt. */
internal data class Registration(
  /** The most it grants to one container. */
  val maxResource: Resource,
  /** Whether its scheduler counts vcores at all; by default it counts memory only. */
  val countsVcores: Boolean,
)

/** A node, and what is free on it. */
internal data class NodeRoom(
  /** `host:port` of its NodeManager. */
  val nodeId: String,
  /** The name the scheduler knows it by: its host, as a rule. */
  val name: String,
  val rack: String,
  val free: Resource,
)

/** One container that is asked for. Two asks are never equal: each stands for a container of its own. */
internal class Ask(
  val resource: Resource,
  /** Where it would be welcome; empty for anywhere. Another node will do after a while. */
  val nodes: List<NodeRoom>,
  /** Whether [nodes] are all there are to name. */
  val isWide: Boolean,
  /** When it was first sent, on the clock of whoever asks. */
  val sinceMillis: Long,
)

/** All that is asked of the RM. */
internal data class Demand(
  val asks: Collection<Ask>,
  /** Nodes, as `host:port`, where no container is wanted. */
  val excludedNodes: Set<String>,
  /** From 0 to 1, for people who look at YARN's pages. */
  val progress: Float,
)

/** What has happened since the last heartbeat. */
internal data class Allocation(
  val granted: List<Grant>,
  val completed: List<Completed>,
  /** Nodes, as `host:port`, whose containers are gone. */
  val lostNodes: List<String>,
  /** Nodes that have come, or come back. */
  val newNodes: List<NodeRoom>,
)

/** A container, in answer to an ask for [requested]. */
internal data class Grant(
  val lease: Lease,
  val requested: Resource,
)

package knit.am.yarn

import knit.am.core.Completed
import knit.am.core.Lease
import knit.am.core.Outcome
import knit.am.core.Resource
import knit.am.core.Shape

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

  /** How full a queue is, or null where the RM tells this application nothing of it. May be called by anyone at any time. */
  suspend fun queue(name: String): QueueReport?

  /**
   * Reports how the application ended. Nothing may be asked after it.
   *
   * Throws [LeftBehindException] where trying again is of no use, anything else where it may be.
   */
  suspend fun unregister(outcome: Outcome)
}

/** The RM knows this attempt no more: another one has taken its place, or the application was ended. */
internal class LeftBehindException(
  cause: Throwable,
) : Exception("The ResourceManager does not know this attempt any more: ${cause.message?.lineSequence()?.first()}", cause)

/** What the RM says to a new attempt. */
internal data class Registration(
  /**
   * The most it grants to one container: what the cluster is configured to, and no more than its largest node has. It has
   * the names of all resources there are, those of which no node has any included.
   */
  val maxResource: Resource,
  /** Whether its scheduler counts vcores and named resources at all; by default the CapacityScheduler counts memory only. */
  val countsVcores: Boolean,
  /** Whether it has told of named resources that this process did not know, so that earlier answers lack them. */
  val hasNewNames: Boolean = false,
  /** The queue it is in; empty where the RM does not say. */
  val queue: String = "",
)

/** A node, and what is free on it. */
internal data class NodeRoom(
  /** `host:port` of its NodeManager. */
  val nodeId: String,
  /** The name the scheduler knows it by: its host, as a rule. */
  val name: String,
  val rack: String,
  val free: Resource,
  /** All it offers, used or not. */
  val capacity: Resource = free,
  /** The node label whose partition it belongs to; empty for the default partition. */
  val partition: String = "",
)

/**
 * How many containers of one shape are asked for, in YARN's absolute numbers.
 *
 * A container may be counted at any number of nodes and racks: the names say where it is welcome, [total] how many there
 * are.
 */
internal data class NamedCounts(
  val total: Int,
  /** By the names the scheduler knows nodes by. */
  val byNode: Map<String, Int> = emptyMap(),
  val byRack: Map<String, Int> = emptyMap(),
  /** Null: anywhere else will do as well. Else nowhere but on the nodes of [byNode], and on all nodes of these racks. */
  val onlyRacks: Set<String>? = null,
)

/** All that is asked of the RM. */
internal data class Demand(
  val asks: Map<Shape, NamedCounts>,
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
  val lostNodes: List<String> = emptyList(),
  /** Nodes that have come, come back or changed. */
  val newNodes: List<NodeRoom> = emptyList(),
  /** What YARN's queue and limits leave to this application, as far as YARN says. */
  val headroom: Resource? = null,
  /** Containers that YARN wants back soon. */
  val preempted: Set<String> = emptySet(),
  /** What YARN refused to be asked for, with its words; nothing of it is asked for now. */
  val refused: Map<Shape, String> = emptyMap(),
  /** Whether part of the demand has not been told yet, and goes out with the next heartbeat. */
  val isBehind: Boolean = false,
  /** The RM had restarted, or another one taken its place: what it said to this attempt when it registered again. */
  val registration: Registration? = null,
)

/** A container, in answer to an ask for [requested]. */
internal data class Grant(
  val lease: Lease,
  val requested: Shape,
  /** Of the node; null where it is not known. */
  val rack: String? = null,
)

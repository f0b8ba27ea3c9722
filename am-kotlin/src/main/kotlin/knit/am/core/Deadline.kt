package knit.am.core

import knit.am.core.kv.KeyLease
import java.time.Instant

/** A time that stands on a record, and which record that is. */
internal data class Deadline(
  val time: Instant,
  val kind: Kind,
  /** Names the record among those of its kind; empty where there is one. */
  val name: String,
  /** Of a container, with its service as [name]. */
  val rank: Int = 0,
  val attemptNumber: Int = 0,
) : Comparable<Deadline> {
  /** Of a container. */
  val key: ContainerKey
    get() = ContainerKey(PlaceKey(name, rank), attemptNumber)

  /** What is due; of the same moment in this order. */
  enum class Kind {
    /** [Node.forgiveTime]. */
    FORGIVENESS,

    /** [Container.dueTime]. */
    CONTAINER,

    /** [ServiceUpdate.readyDeadline]. */
    UPDATE,

    /** [Service.allocationDeadline]. */
    ALLOCATION,

    /** [KeyLease.expiryTime]; named by its number. */
    LEASE,

    /** [Header.endDeadline]. */
    ENDING,
  }

  override fun compareTo(other: Deadline): Int {
    val byTime = time.compareTo(other.time)
    if (byTime != 0) return byTime
    val byKind = kind.compareTo(other.kind)
    if (byKind != 0) return byKind
    val byName = name.compareTo(other.name)
    if (byName != 0) return byName
    val byRank = rank.compareTo(other.rank)
    return if (byRank != 0) byRank else attemptNumber.compareTo(other.attemptNumber)
  }

  companion object {
    fun of(header: Header): Deadline? = header.endDeadline?.let { Deadline(it, Kind.ENDING, "") }

    fun of(container: Container): Deadline? =
      container.dueTime?.let {
        Deadline(it, Kind.CONTAINER, container.key.place.serviceName, container.key.place.rank, container.key.attemptNumber)
      }

    fun of(service: Service): Deadline? = service.allocationDeadline?.let { Deadline(it, Kind.ALLOCATION, service.name) }

    fun ofUpdate(service: Service): Deadline? = service.update?.readyDeadline?.let { Deadline(it, Kind.UPDATE, service.name) }

    fun of(lease: KeyLease) = Deadline(lease.expiryTime, Kind.LEASE, "${lease.id}")

    fun of(node: Node) = Deadline(node.forgiveTime, Kind.FORGIVENESS, node.nodeId)
  }
}

package knit.am.core

import knit.am.core.kv.Bytes
import knit.am.core.kv.KeyLease
import knit.am.core.kv.KeyValue
import java.time.Instant

/**
 * The whole new value of one record, or that the record is gone.
 *
 * So the last change of a record is all there is to know of it, to apply one twice does no harm, and what a watcher is told
 * is what a list would tell it.
 */
sealed interface Change

data class HeaderChanged(
  val header: Header,
) : Change

data class ServiceChanged(
  val service: Service,
) : Change

/** A service has another specification; it never changes. */
data class SpecAdded(
  val serviceName: String,
  val revision: Int,
  val spec: ServiceSpec,
) : Change

/** Nothing is of this revision any more, nor will be. */
data class SpecForgotten(
  val serviceName: String,
  val revision: Int,
) : Change

data class VariantAdded(
  val variant: Variant,
) : Change

data class PlaceChanged(
  val place: Place,
) : Change

/** A container is new or has passed on; of one that is final, this was the last time but for [ContainerAbridged]. */
data class ContainerChanged(
  val container: Container,
) : Change

/** All that is kept of what [container] said at its end are its last words: the end itself is old news. */
data class ContainerAbridged(
  val container: Container,
) : Change

data class ContainerForgotten(
  val key: ContainerKey,
) : Change

data class NodeChanged(
  val node: Node,
) : Change

data class NodeForgiven(
  val nodeId: String,
) : Change

data class LeasePassed(
  val lease: PastLease,
) : Change

data class PastLeaseForgotten(
  val lease: PastLease,
) : Change

/** An annotation of the application is another one, or is gone. */
data class AnnotationChanged(
  val name: String,
  /** Null: it is gone. */
  val value: Bytes?,
) : Change {
  /** Without [value], which may be secret. */
  override fun toString(): String = "AnnotationChanged($name, ${value?.size})"
}

data class RequestAnswered(
  val answered: Answered,
) : Change

/** It is as if it never had been. */
data class RequestForgotten(
  val requestId: String,
) : Change

/** A key of the store was written, or is gone. */
data class KeyChanged(
  val key: Bytes,
  /** Null: it is gone. */
  val current: KeyValue?,
  /** What was there before, for those who watch; null: nothing was. */
  val previous: KeyValue?,
) : Change

/** A lease was granted, or is gone. */
data class LeaseChanged(
  val id: Long,
  /** Null: it is gone. */
  val lease: KeyLease?,
) : Change

/**
 * A lease lives on from now. Nobody is told, and it takes no number: 10,000 containers that keep theirs every few seconds would push
 * all that happens out of [knit.am.ChangeFeed] within half a minute. Nor has it to be noted for good: whoever takes an application
 * over gives each lease its whole time once more.
 */
data class LeaseKept(
  val lease: KeyLease,
) : Change

/** All that one turn has changed, in order. It travels whole: whoever has seen a part has seen all. */
class ChangeSet(
  /** One more than that of the last turn that changed anything. */
  val sequence: Long,
  val time: Instant,
  val changes: List<Change>,
  /** What was counted at its end, of each service whose record it has changed: a record does not tell that, and later it is another. */
  val tallies: Map<String, Tally> = emptyMap(),
) {
  override fun toString(): String = "ChangeSet($sequence, $time, $changes)"
}

package knit.am.core.kv

import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Caller
import knit.am.core.Commit
import knit.am.core.ContainerChanged
import knit.am.core.ContainerRef
import knit.am.core.GrantLease
import knit.am.core.KeepLease
import knit.am.core.KeyChanged
import knit.am.core.KeysCommitted
import knit.am.core.LeaseChanged
import knit.am.core.LeaseGranted
import knit.am.core.LeaseKept
import knit.am.core.Reason
import knit.am.core.RevokeLease
import knit.am.core.Role
import knit.am.core.Standing
import knit.am.core.Turn
import knit.am.core.isAlive
import knit.am.core.refuseAnotherHistory
import knit.am.core.remember
import knit.am.core.remembered
import knit.am.core.standingOf
import java.time.Duration

/** As many leases as containers: each may have one of its own. */
internal const val MAX_LEASES = 100_000

internal val SHORTEST_LEASE: Duration = Duration.ofSeconds(1)
internal val LONGEST_LEASE: Duration = Duration.ofDays(1)

/** Compares, then does one list of operations or the other. Everything is checked before anything is changed. */
internal fun Turn.commit(command: Commit): () -> Committed {
  application.refuseAnotherHistory(command.historyId)
  application.remembered<KeysCommitted>(command.requestId)?.let { known -> return { known.committed } }
  val transaction = command.transaction
  transaction.refuseIfMalformed()
  if (!transaction.isReading) command.caller.refuseAsWriter()

  val before = application.keyValues
  val succeeded = transaction.comparisons.all { it.holds(before[it.key]) }
  val draft = Draft(before, sequence, command.caller, StoreWorld(application), command.trims)
  val results = (if (succeeded) transaction.onSuccess else transaction.onFailure).map(draft::carryOut)
  application.refuseIfFull(draft.keyValues)

  var isWritten = false
  for ((previous, current) in draft.written) {
    isWritten = true
    put(KeyChanged(checkNotNull(current ?: previous).key, current, previous))
  }
  val committed = Committed(succeeded, results, if (isWritten) sequence else application.sequence)
  // Who only reads may read again.
  if (isWritten) remember(command.requestId, KeysCommitted(committed))
  return { committed }
}

internal fun Turn.grant(command: GrantLease): () -> KeyLease {
  application.remembered<LeaseGranted>(command.requestId)?.let { known -> return { known.lease } }
  command.caller.refuseAsWriter()
  val timeToLive = command.timeToLive
  if (timeToLive < SHORTEST_LEASE || timeToLive > LONGEST_LEASE) {
    throw AmException.InvalidArgument("time_to_live is $timeToLive; it must be $SHORTEST_LEASE to $LONGEST_LEASE.")
  }
  val count = application.keyLeases.size
  if (count >= MAX_LEASES) {
    throw AmException.ResourceExhausted(
      "There are $count leases, which is the most. Keep one for many keys, and revoke what is not needed.",
      Reason.TOO_MANY_LEASES,
      mapOf("count" to "$count", "max_count" to "$MAX_LEASES"),
    )
  }
  // A turn grants one at most, and no two turns have the same number.
  val lease = KeyLease(sequence, timeToLive, now + timeToLive)
  put(LeaseChanged(lease.id, lease))
  remember(command.requestId, LeaseGranted(lease))
  return { lease }
}

internal fun Turn.keep(command: KeepLease): () -> KeyLease {
  command.caller.refuseAsWriter()
  val lease = application.keyLeases[command.leaseId]
  if (lease == null) {
    throw AmException.NotFound(
      "There is no lease ${command.leaseId}: it has ended, and its keys are gone. Grant another one, and write them again.",
      Reason.NO_SUCH_LEASE,
      mapOf("lease_id" to "${command.leaseId}"),
    )
  }
  val kept = lease.copy(expiryTime = now + lease.timeToLive)
  if (kept != lease) put(LeaseKept(kept))
  return { kept }
}

internal fun Turn.revoke(command: RevokeLease): () -> List<Bytes> {
  command.caller.refuseAsWriter()
  val keys = application.keyValues.leasedBy(command.leaseId)
  val draft = Draft(application.keyValues, sequence, command.caller, StoreWorld(application))
  keys.forEach { draft.carryOut(Operation.Delete(KeyRange.only(it))) }
  endLease(command.leaseId)
  return { keys }
}

/** A lease has not been kept. */
internal fun Turn.expire(leaseId: Long) = endLease(leaseId)

private fun Turn.endLease(leaseId: Long) {
  if (leaseId !in application.keyLeases) return
  val keyValues = application.keyValues
  keyValues.leasedBy(leaseId).forEach { put(KeyChanged(it, null, keyValues[it])) }
  put(LeaseChanged(leaseId, null))
}

/** Of the containers that this turn has ended, or begun to end, no key is left. */
internal fun Turn.voidKeysOfEnded() {
  val keyValues = application.keyValues
  if (!keyValues.hasOwners) return
  val ended = changes.mapNotNullTo(LinkedHashSet()) { change -> (change as? ContainerChanged)?.container?.takeIf { !it.isAlive }?.ref }
  for (owner in ended) keyValues.ownedBy(owner).forEach { put(KeyChanged(it, null, keyValues[it])) }
}

private fun Application.refuseIfFull(after: KeyValues) {
  val most = retention.keyValueBytes
  // What makes it smaller is always done.
  if (after.bytes <= most || after.bytes <= keyValues.bytes) return
  throw AmException.ResourceExhausted(
    "The store would have ${after.bytes} bytes in ${after.size} keys, of at most $most, ${KeyValue.KEY_BYTES} counted for each key. " +
      "Delete some keys, or put the data in files.",
    Reason.STORE_FULL,
    mapOf("bytes" to "${after.bytes}", "max_bytes" to "$most", "count" to "${after.size}"),
  )
}

/** The table of roles lets nobody come so far who only looks; this is what it means. */
private fun Caller.refuseAsWriter() {
  if (role == Role.VIEWER) throw AmException.PermissionDenied("A viewer writes no keys. Ask for an operator's credentials.")
}

private class StoreWorld(
  private val application: Application,
) : Draft.World {
  override fun refuseIfNotAlive(owner: ContainerRef) {
    val facts = mapOf("service_name" to owner.serviceName, "ordinal" to "${owner.ordinal}")
    when (application.standingOf(owner)) {
      Standing.ALIVE -> {}

      Standing.ENDED -> {
        throw AmException.FailedPrecondition("$owner has ended, or is about to; no key can belong to it.", Reason.CONTAINER_ENDED, facts)
      }

      Standing.UNKNOWN -> {
        throw AmException.NotFound(
          "There never was a container $owner, to which a key is to belong. List the containers for their ordinals.",
          Reason.NO_SUCH_CONTAINER,
          facts,
        )
      }
    }
  }

  override fun refuseIfNoLease(leaseId: Long) {
    if (leaseId in application.keyLeases) return
    throw AmException.FailedPrecondition(
      "There is no lease $leaseId: it has ended, or never was. Grant another one.",
      Reason.NO_SUCH_LEASE,
      mapOf("lease_id" to "$leaseId"),
    )
  }
}

package knit.am.core.kv

import knit.am.core.AmException
import knit.am.core.Caller
import knit.am.core.ContainerRef
import knit.am.core.Reason
import knit.am.core.Role

/** The longest key: as others have it, and names are shorter. */
internal const val MAX_KEY_BYTES = 1_024

/** A value alone in a message of 16 MiB, also with the one before it. */
internal const val MAX_VALUE_BYTES = 8 * 1024 * 1024

/** As many as one transaction compares, and does in either case. */
internal const val MAX_OPERATIONS = 1_024

/** What a transaction may answer: clients of other languages take 4 MiB, of which some is for what stands around. */
internal const val MAX_COMMITTED_BYTES = 4L * 1024 * 1024 - 8_192

/** The store while a transaction is worked into it. What is refused on the way has changed nothing, for nobody else sees this. */
internal class Draft(
  before: KeyValues,
  private val revision: Long,
  private val caller: Caller,
  private val world: World,
  /** Whether of what is deleted the values are left out that an answer has no room for. */
  private val trims: Boolean = false,
) {
  /** What the store knows of all that is no key. */
  interface World {
    /** @throws AmException where no key can belong to it. */
    fun refuseIfNotAlive(owner: ContainerRef)

    /** @throws AmException where no key can name it. */
    fun refuseIfNoLease(leaseId: Long)
  }

  private class Write(
    val previous: KeyValue?,
    var current: KeyValue?,
  )

  var keyValues = before
    private set
  private val writes = LinkedHashMap<Bytes, Write>()

  /** How much room there is in the answer. */
  private var left = MAX_COMMITTED_BYTES
  private var isAnythingTold = false

  /** What was there before and is there now, of each key that was written, as it was first written. */
  val written: Sequence<Pair<KeyValue?, KeyValue?>>
    get() = writes.values.asSequence().map { it.previous to it.current }

  fun carryOut(operation: Operation): OperationResult =
    when (operation) {
      is Operation.Put -> {
        put(operation)
      }

      is Operation.Delete -> {
        delete(operation)
      }

      is Operation.Range -> {
        val found = keyValues.list(operation.range)
        val wanted = if (operation.limit == 0) found else found.take(operation.limit)
        OperationResult(wanted.map { told(it, !operation.keysOnly) }.toList(), keyValues.count(operation.range))
      }
    }

  private fun put(operation: Operation.Put): OperationResult {
    val old = keyValues[operation.key]
    if (old != null) refuseIfAnothers(old)
    operation.ownership?.owner?.let { if (it != old?.owner) refuseAsOwner(it) }
    operation.leaseId?.let { if (it != 0L && it != old?.leaseId) world.refuseIfNoLease(it) }
    val new =
      KeyValue(
        key = old?.key ?: operation.key,
        value = operation.value ?: old?.value ?: Bytes.EMPTY,
        createRevision = old?.createRevision ?: revision,
        modifyRevision = revision,
        version = (old?.version ?: 0) + 1,
        owner = if (operation.ownership == null) old?.owner else operation.ownership.owner,
        leaseId = operation.leaseId ?: old?.leaseId ?: 0,
      )
    keyValues = keyValues.plus(new)
    write(old, new)
    return if (operation.returnsPrevious && old != null) OperationResult(listOf(told(old, true))) else OperationResult()
  }

  private fun delete(operation: Operation.Delete): OperationResult {
    val found = keyValues.list(operation.range).toList()
    found.forEach(::refuseIfAnothers)
    for (old in found) {
      keyValues = keyValues.minus(old.key)
      write(old, null)
    }
    val told =
      when {
        !operation.returnsPrevious -> emptyList()
        trims && found.size > 1 -> trimmed(found, !operation.keysOnly)
        else -> found.map { told(it, !operation.keysOnly) }
      }
    return OperationResult(told, found.size)
  }

  /** @throws AmException where the answer has no room for it: told is what fits, or one that is larger alone. */
  private fun told(
    keyValue: KeyValue,
    withValue: Boolean,
  ): ReturnedKeyValue {
    val returned = ReturnedKeyValue(keyValue, withValue)
    if (isAnythingTold && returned.bytes > left) throw tooMuchToTell()
    isAnythingTold = true
    left -= returned.bytes
    return returned
  }

  private fun trimmed(
    found: List<KeyValue>,
    withValues: Boolean,
  ): List<ReturnedKeyValue> {
    left -= found.sumOf { ReturnedKeyValue(it, false).bytes }
    if (left < 0) throw tooMuchToTell()
    return found.map {
      val fits = withValues && it.value.size <= left
      if (fits) left -= it.value.size
      ReturnedKeyValue(it, fits)
    }
  }

  private fun write(
    old: KeyValue?,
    new: KeyValue?,
  ) {
    val key = checkNotNull(new ?: old).key
    writes.getOrPut(key) { Write(old, new) }.current = new
  }

  private fun refuseIfAnothers(current: KeyValue) {
    val owner = current.owner ?: return
    if (caller.role != Role.CONTAINER || owner == caller.container) return
    throw AmException.PermissionDenied(
      "${current.key} belongs to $owner, and a container writes and deletes no key of another's. Use a key of your own.",
      facts = mapOf("service_name" to owner.serviceName, "ordinal" to "${owner.ordinal}"),
    )
  }

  private fun refuseAsOwner(owner: ContainerRef) {
    if (caller.role == Role.CONTAINER && owner != caller.container) {
      throw AmException.PermissionDenied(
        "A container gives no key to another, and this one is to be $owner's. Give it to yourself or nobody.",
      )
    }
    world.refuseIfNotAlive(owner)
  }
}

/** Refuses what could not be done whatever is in the store. */
internal fun Transaction.refuseIfMalformed() {
  for ((name, count) in listOf("comparisons" to comparisons.size, "on_success" to onSuccess.size, "on_failure" to onFailure.size)) {
    if (count > MAX_OPERATIONS) {
      throw AmException.InvalidArgument(
        "$name are $count, of at most $MAX_OPERATIONS. Use several transactions.",
        facts = mapOf("count" to "$count", "max_count" to "$MAX_OPERATIONS"),
      )
    }
  }
  comparisons.forEach { refuseAsKey(it.key) }
  for (list in listOf(onSuccess, onFailure)) {
    list.forEach { it.refuseIfMalformed() }
    refuseIfWrittenTwice(list)
  }
}

private fun Operation.refuseIfMalformed() {
  when (this) {
    is Operation.Put -> {
      refuseAsKey(key)
      refuseAsValue(key, value ?: Bytes.EMPTY)
    }

    is Operation.Range -> {
      if (limit < 0) throw AmException.InvalidArgument("limit is $limit; it must be 0 or more.")
    }

    is Operation.Delete -> {}
  }
}

private fun refuseIfWrittenTwice(operations: List<Operation>) {
  val puts = sortedSetOf<Bytes>()
  for (put in operations.filterIsInstance<Operation.Put>()) {
    if (!puts.add(put.key)) throw writtenTwice(put.key)
  }
  for (delete in operations.filterIsInstance<Operation.Delete>()) {
    puts.ceiling(delete.range.start)?.let { if (it in delete.range) throw writtenTwice(it) }
  }
}

private fun writtenTwice(key: Bytes) =
  AmException.InvalidArgument("The transaction writes $key twice; which is to hold? Put or delete a key once.")

internal fun refuseAsKey(key: Bytes) {
  if (key.size == 0) throw AmException.InvalidArgument("A key is empty; it must have 1 to $MAX_KEY_BYTES bytes.")
  if (key.size > MAX_KEY_BYTES) {
    throw AmException.ResourceExhausted(
      "The key $key has ${key.size} bytes, of at most $MAX_KEY_BYTES. Use a shorter one.",
      Reason.KEY_TOO_LARGE,
      mapOf("bytes" to "${key.size}", "max_bytes" to "$MAX_KEY_BYTES"),
    )
  }
}

private fun refuseAsValue(
  key: Bytes,
  value: Bytes,
) {
  if (value.size <= MAX_VALUE_BYTES) return
  throw AmException.ResourceExhausted(
    "The value of $key has ${value.size} bytes, of at most $MAX_VALUE_BYTES. Put the data in a file, and its name here.",
    Reason.VALUE_TOO_LARGE,
    mapOf("bytes" to "${value.size}", "max_bytes" to "$MAX_VALUE_BYTES"),
  )
}

private fun tooMuchToTell() =
  AmException.ResourceExhausted(
    "The answer would have more than $MAX_COMMITTED_BYTES bytes, and nothing was done. " +
      "Ask for less to be returned, or use several transactions.",
    Reason.ANSWER_TOO_LARGE,
    mapOf("max_bytes" to "$MAX_COMMITTED_BYTES"),
  )

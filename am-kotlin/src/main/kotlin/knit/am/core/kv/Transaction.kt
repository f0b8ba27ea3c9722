package knit.am.core.kv

import knit.am.core.ContainerRef

/** What is asked of the store in one go: all of it is done, or nothing. */
data class Transaction(
  /** All of these have to be true… */
  val comparisons: List<Comparison>,
  /** …for these to be done… */
  val onSuccess: List<Operation>,
  /** …else these are. */
  val onFailure: List<Operation> = emptyList(),
) {
  /** Whether it only looks. */
  val isReading: Boolean
    get() = (onSuccess + onFailure).all { it is Operation.Range }
}

/** A question about one key. */
data class Comparison(
  val key: Bytes,
  val operator: Operator,
  val target: Target,
) {
  enum class Operator { EQUAL, NOT_EQUAL, LESS, LESS_OR_EQUAL, GREATER, GREATER_OR_EQUAL }

  /** What the key is compared in, and with what. */
  sealed interface Target

  data class Value(
    val value: Bytes,
  ) : Target {
    override fun toString(): String = "Value(${value.size} bytes)"
  }

  data class ModifyRevision(
    val revision: Long,
  ) : Target

  data class CreateRevision(
    val revision: Long,
  ) : Target

  data class Version(
    val version: Long,
  ) : Target

  data class Owner(
    val owner: ContainerRef?,
  ) : Target

  data class Lease(
    val leaseId: Long,
  ) : Target

  data class Exists(
    val exists: Boolean,
  ) : Target

  /**
   * Whether it is true of [current], which is what there is by the key.
   *
   * What is not there has no order, nor has an owner or lease that is none: only to be equal and not to be can be true of them.
   */
  fun holds(current: KeyValue?): Boolean =
    when (target) {
      is Value -> compare(current?.value, target.value)
      is ModifyRevision -> compare(current?.modifyRevision, target.revision, 0)
      is CreateRevision -> compare(current?.createRevision, target.revision, 0)
      is Version -> compare(current?.version, target.version, 0)
      is Owner -> compare(current?.owner, target.owner)
      is Lease -> compare(current?.leaseId.orNull(), target.leaseId.orNull())
      is Exists -> compare(if (current == null) null else true, target.exists, false)
    }

  /** What is [there], or null where nothing is, which counts as equal to [nothing]. */
  private fun <T : Comparable<T>> compare(
    there: T?,
    given: T?,
    nothing: T? = null,
  ): Boolean =
    when (operator) {
      Operator.EQUAL -> (there ?: nothing) == given
      Operator.NOT_EQUAL -> (there ?: nothing) != given
      else -> there != null && given != null && isOrdered(there.compareTo(given))
    }

  private fun isOrdered(order: Int): Boolean =
    when (operator) {
      Operator.EQUAL -> order == 0
      Operator.NOT_EQUAL -> order != 0
      Operator.LESS -> order < 0
      Operator.LESS_OR_EQUAL -> order <= 0
      Operator.GREATER -> order > 0
      Operator.GREATER_OR_EQUAL -> order >= 0
    }

  private fun Long?.orNull(): Long? = this?.takeIf { it != 0L }
}

/** A step of a transaction. */
sealed interface Operation {
  /** Writes one key. */
  data class Put(
    val key: Bytes,
    /** Null: it stays as it is, and is empty where the key is not there. */
    val value: Bytes?,
    /** Null: as before. */
    val ownership: Ownership? = null,
    /** 0: none. Null: as before. */
    val leaseId: Long? = null,
    val returnsPrevious: Boolean = false,
  ) : Operation {
    override fun toString(): String = "Put($key, ${value?.size} bytes, $ownership, $leaseId)"
  }

  data class Delete(
    val range: KeyRange,
    val returnsPrevious: Boolean = false,
    /** Whether, then, without the values. */
    val keysOnly: Boolean = false,
  ) : Operation

  data class Range(
    val range: KeyRange,
    val keysOnly: Boolean = false,
    /** 0: all. */
    val limit: Int = 0,
  ) : Operation
}

/** Whose a key is to be. */
data class Ownership(
  /** Null: nobody's. */
  val owner: ContainerRef?,
)

/** What came of an operation. */
data class OperationResult(
  /** Of a put, what was there before; of a delete or a range, the keys: each perhaps without its value. */
  val keyValues: List<ReturnedKeyValue> = emptyList(),
  /** Of a delete or a range, how many there were. */
  val count: Int = 0,
)

/** A key as it is told of. */
data class ReturnedKeyValue(
  val keyValue: KeyValue,
  val hasValue: Boolean,
) {
  /** About what it takes in a message. */
  val bytes: Long
    get() = MESSAGE_BYTES + keyValue.key.size + if (hasValue) keyValue.value.size else 0

  private companion object {
    /** Tags, lengths, revisions, and the longest name of an owner. */
    const val MESSAGE_BYTES = 160L
  }
}

/** What came of a transaction. */
data class Committed(
  val succeeded: Boolean,
  /** One for each operation that was done, in order. */
  val results: List<OperationResult>,
  /** The number of the turn that wrote, or of the last one where nothing was written. */
  val revision: Long,
)

package knit.am.grpc

import com.google.protobuf.ByteString
import com.google.protobuf.UnsafeByteOperations
import knit.am.core.AmException
import knit.am.core.Caller
import knit.am.core.Commit
import knit.am.core.ContainerRef
import knit.am.core.GrantLease
import knit.am.core.KeepLease
import knit.am.core.RevokeLease
import knit.am.core.kv.Bytes
import knit.am.core.kv.Committed
import knit.am.core.kv.Comparison
import knit.am.core.kv.KeyRange
import knit.am.core.kv.KeyValue
import knit.am.core.kv.Operation
import knit.am.core.kv.OperationResult
import knit.am.core.kv.Ownership
import knit.am.core.kv.ReturnedKeyValue
import knit.am.core.kv.Transaction
import knit.v1.CommitRequest
import knit.v1.CommitResponse
import knit.v1.CompareOperator
import knit.v1.DeleteOperation
import knit.v1.DeleteRequest
import knit.v1.GrantLeaseRequest
import knit.v1.KeepLeaseRequest
import knit.v1.PutOperation
import knit.v1.PutRequest
import knit.v1.RangeOperation
import knit.v1.RevokeLeaseRequest
import knit.v1.Comparison as ComparisonMessage
import knit.v1.ContainerRef as ContainerRefMessage
import knit.v1.KeyRange as KeyRangeMessage
import knit.v1.KeyValue as KeyValueMessage
import knit.v1.Operation as OperationMessage
import knit.v1.OperationResult as OperationResultMessage

// What KeyValueService says and is told.

internal fun PutRequest.toDomain(caller: Caller): Commit {
  refuseIfUnknown()
  return Commit(Transaction(emptyList(), listOf(put.toDomain())), caller, requestId, historyId)
}

internal fun DeleteRequest.toDomain(caller: Caller): Commit {
  refuseIfUnknown()
  return Commit(Transaction(emptyList(), listOf(delete.toDomain())), caller, requestId, historyId, trims = true)
}

internal fun CommitRequest.toDomain(caller: Caller): Commit {
  refuseIfUnknown()
  val transaction =
    Transaction(comparisonsList.map { it.toDomain() }, onSuccessList.map { it.toDomain() }, onFailureList.map { it.toDomain() })
  return Commit(transaction, caller, requestId, historyId)
}

internal fun GrantLeaseRequest.toDomain(caller: Caller): GrantLease {
  refuseIfUnknown()
  return GrantLease(timeToLive.toDomain(), caller, requestId)
}

internal fun KeepLeaseRequest.toDomain(caller: Caller): KeepLease {
  refuseIfUnknown()
  return KeepLease(leaseId, caller)
}

internal fun RevokeLeaseRequest.toDomain(caller: Caller): RevokeLease {
  refuseIfUnknown()
  return RevokeLease(leaseId, caller)
}

internal fun ByteString.toDomain() = if (isEmpty) Bytes.EMPTY else Bytes(toByteArray())

/** Nobody changes bytes once they are made, so they need not be copied. */
internal fun Bytes.toMessage(): ByteString = UnsafeByteOperations.unsafeWrap(shared)

internal fun ContainerRefMessage.toDomain() = ContainerRef(serviceName, ordinal)

internal fun ContainerRef.toMessage(): ContainerRefMessage =
  ContainerRefMessage
    .newBuilder()
    .setServiceName(serviceName)
    .setOrdinal(ordinal)
    .build()

internal fun KeyRangeMessage.toDomain(): KeyRange {
  if (hasPrefix() && !(start.isEmpty && end.isEmpty)) {
    throw AmException.InvalidArgument("A range names a prefix, and a start or an end. Give one or the other.")
  }
  return if (hasPrefix()) KeyRange.of(prefix.toDomain()) else KeyRange(start.toDomain(), if (end.isEmpty) null else end.toDomain())
}

private fun PutOperation.toDomain() =
  Operation.Put(
    key = key.toDomain(),
    value = if (hasValue()) value.toDomain() else null,
    ownership =
      when (ownershipCase) {
        PutOperation.OwnershipCase.OWNER -> Ownership(owner.toDomain())
        PutOperation.OwnershipCase.NO_OWNER -> if (noOwner) Ownership(null) else null
        else -> null
      },
    leaseId = if (hasLeaseId()) leaseId else null,
    returnsPrevious = returnPrevious,
  )

private fun DeleteOperation.toDomain() = Operation.Delete(range.toDomain(), returnPrevious, keysOnly)

private fun RangeOperation.toDomain() = Operation.Range(range.toDomain(), keysOnly, limit)

private fun OperationMessage.toDomain(): Operation =
  when (operationCase) {
    OperationMessage.OperationCase.PUT -> put.toDomain()
    OperationMessage.OperationCase.DELETE -> delete.toDomain()
    OperationMessage.OperationCase.RANGE -> range.toDomain()
    else -> throw AmException.InvalidArgument("An operation is none: it must put, delete or range.")
  }

private fun ComparisonMessage.toDomain() =
  Comparison(
    key = key.toDomain(),
    operator =
      when (operator) {
        CompareOperator.COMPARE_OPERATOR_NOT_EQUAL -> Comparison.Operator.NOT_EQUAL
        CompareOperator.COMPARE_OPERATOR_LESS -> Comparison.Operator.LESS
        CompareOperator.COMPARE_OPERATOR_LESS_OR_EQUAL -> Comparison.Operator.LESS_OR_EQUAL
        CompareOperator.COMPARE_OPERATOR_GREATER -> Comparison.Operator.GREATER
        CompareOperator.COMPARE_OPERATOR_GREATER_OR_EQUAL -> Comparison.Operator.GREATER_OR_EQUAL
        else -> Comparison.Operator.EQUAL
      },
    target =
      when (targetCase) {
        ComparisonMessage.TargetCase.VALUE -> Comparison.Value(value.toDomain())

        ComparisonMessage.TargetCase.MODIFY_REVISION -> Comparison.ModifyRevision(modifyRevision)

        ComparisonMessage.TargetCase.CREATE_REVISION -> Comparison.CreateRevision(createRevision)

        ComparisonMessage.TargetCase.VERSION -> Comparison.Version(version)

        ComparisonMessage.TargetCase.OWNER -> Comparison.Owner(if (owner.serviceName.isEmpty()) null else owner.toDomain())

        ComparisonMessage.TargetCase.LEASE_ID -> Comparison.Lease(leaseId)

        ComparisonMessage.TargetCase.EXISTS -> Comparison.Exists(exists)

        else -> throw AmException.InvalidArgument(
          "A comparison compares with nothing. Give it a value, revision, version, owner, lease or exists.",
        )
      },
  )

internal fun KeyValue.toMessage(withValue: Boolean): KeyValueMessage {
  val message =
    KeyValueMessage
      .newBuilder()
      .setKey(key.toMessage())
      .setValueBytes(value.size.toLong())
      .setCreateRevision(createRevision)
      .setModifyRevision(modifyRevision)
      .setVersion(version)
      .setLeaseId(leaseId)
  if (withValue) message.setValue(value.toMessage())
  owner?.let { message.setOwner(it.toMessage()) }
  return message.build()
}

internal fun ReturnedKeyValue.toMessage() = keyValue.toMessage(hasValue)

internal fun Committed.toMessage(historyId: String): CommitResponse =
  CommitResponse
    .newBuilder()
    .setSucceeded(succeeded)
    .addAllResults(results.map { it.toMessage() })
    .setRevision(revision)
    .setHistoryId(historyId)
    .build()

private fun OperationResult.toMessage(): OperationResultMessage =
  OperationResultMessage
    .newBuilder()
    .addAllKeyValues(keyValues.map { it.toMessage() })
    .setCount(count.toLong())
    .build()

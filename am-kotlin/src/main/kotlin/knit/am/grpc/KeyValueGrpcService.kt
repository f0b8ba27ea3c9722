package knit.am.grpc

import knit.am.ApplicationLoop
import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Reason
import knit.am.core.Role
import knit.am.core.kv.Bytes
import knit.am.core.kv.refuseAsKey
import knit.am.security.callerOf
import knit.v1.CommitRequest
import knit.v1.CommitResponse
import knit.v1.DeleteRequest
import knit.v1.DeleteResponse
import knit.v1.GetRequest
import knit.v1.GetResponse
import knit.v1.GrantLeaseRequest
import knit.v1.GrantLeaseResponse
import knit.v1.KeepLeaseRequest
import knit.v1.KeepLeaseResponse
import knit.v1.KeyValueServiceGrpcKt
import knit.v1.PutRequest
import knit.v1.PutResponse
import knit.v1.RangeRequest
import knit.v1.RangeResponse
import knit.v1.RevokeLeaseRequest
import knit.v1.RevokeLeaseResponse
import java.util.Base64

/** Reads and writes the application's store. What only reads is answered from the latest snapshot, and holds up nobody. */
internal class KeyValueGrpcService(
  private val loop: ApplicationLoop,
) : KeyValueServiceGrpcKt.KeyValueServiceCoroutineImplBase() {
  override suspend fun get(request: GetRequest): GetResponse = loop.snapshots.value.valueOf(request, seesValues())

  override suspend fun range(request: RangeRequest): RangeResponse = loop.snapshots.value.pageOf(request, seesValues())

  override suspend fun put(request: PutRequest): PutResponse {
    val committed = loop.request(request.toDomain(callerOf()))
    val response = PutResponse.newBuilder().setRevision(committed.revision).setHistoryId(historyId())
    committed.results
      .single()
      .keyValues
      .firstOrNull()
      ?.let { response.setPrevious(it.toMessage()) }
    return response.build()
  }

  override suspend fun delete(request: DeleteRequest): DeleteResponse {
    val committed = loop.request(request.toDomain(callerOf()))
    val result = committed.results.single()
    return DeleteResponse
      .newBuilder()
      .setRevision(committed.revision)
      .setCount(result.count.toLong())
      .addAllPrevious(result.keyValues.map { it.toMessage() })
      .setHistoryId(historyId())
      .build()
  }

  override suspend fun commit(request: CommitRequest): CommitResponse = loop.request(request.toDomain(callerOf())).toMessage(historyId())

  override suspend fun grantLease(request: GrantLeaseRequest): GrantLeaseResponse {
    val lease = loop.request(request.toDomain(callerOf()))
    return GrantLeaseResponse
      .newBuilder()
      .setLeaseId(lease.id)
      .setHistoryId(historyId())
      .build()
  }

  override suspend fun keepLease(request: KeepLeaseRequest): KeepLeaseResponse {
    val lease = loop.request(request.toDomain(callerOf()))
    return KeepLeaseResponse.newBuilder().setTimeToLive(lease.timeToLive.toMessage()).build()
  }

  override suspend fun revokeLease(request: RevokeLeaseRequest): RevokeLeaseResponse {
    val keys = loop.request(request.toDomain(callerOf()))
    return RevokeLeaseResponse.newBuilder().setCount(keys.size.toLong()).build()
  }

  private fun historyId() = loop.snapshots.value.historyId

  /** Viewers know which keys there are, and no more. */
  private fun seesValues() = callerOf().role != Role.VIEWER
}

internal fun Application.valueOf(
  request: GetRequest,
  withValue: Boolean,
): GetResponse {
  val key = Bytes(request.key.toByteArray())
  refuseAsKey(key)
  val found = keyValues[key] ?: throw AmException.NotFound("There is no key $key.", Reason.NO_SUCH_KEY)
  return GetResponse
    .newBuilder()
    .setKeyValue(found.toMessage(withValue))
    .setSequence(sequence)
    .setHistoryId(historyId)
    .build()
}

/** The page of keys that [request] asks for. */
internal fun Application.pageOf(
  request: RangeRequest,
  seesValues: Boolean,
): RangeResponse {
  if (request.pageSize < 0) throw AmException.InvalidArgument("page_size is ${request.pageSize}; it must be 0 or more.")
  val range = request.range.toDomain()
  val after = keyAfter(request.pageToken)
  val page =
    RangeResponse
      .newBuilder()
      .setCount(keyValues.count(range).toLong())
      .setSequence(sequence)
      .setHistoryId(historyId)
  if (request.countOnly) return page.build()
  val withValues = seesValues && !request.keysOnly
  val most = if (request.pageSize == 0) Int.MAX_VALUE else request.pageSize
  var bytes = 0L
  for (keyValue in keyValues.list(range, request.isDescending, after)) {
    val message = keyValue.toMessage(withValues)
    bytes += message.serializedSize + FIELD_BYTES
    val last = page.keyValuesList.lastOrNull()
    if (last != null && (page.keyValuesCount == most || bytes > MAX_ANSWER_BYTES)) {
      return page.setNextPageToken("$historyId ${tokens.encodeToString(last.key.toByteArray())}").build()
    }
    page.addKeyValues(message)
  }
  return page.build()
}

/** The key that the last page ended with, in the history that it was one of. */
private fun Application.keyAfter(token: String): Bytes? {
  if (token.isEmpty()) return null
  val (history, key) = tokenForm.matchEntire(token)?.destructured ?: throw noToken()
  if (history != historyId) {
    throw AmException.OutOfRange(
      "The Application Master has been replaced: page_token belongs to history $history. Begin without one.",
      Reason.HISTORY_LOST,
      mapOf("history_id" to historyId),
    )
  }
  return try {
    Bytes(Base64.getUrlDecoder().decode(key))
  } catch (_: IllegalArgumentException) {
    throw noToken()
  }
}

private fun noToken() = AmException.InvalidArgument("page_token is none of this call's. Begin without one.")

private val tokens = Base64.getUrlEncoder().withoutPadding()
private val tokenForm = Regex("""([^ ]*) ([A-Za-z0-9_-]+)""")

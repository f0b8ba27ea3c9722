package knit.am.grpc

import com.google.protobuf.ByteString
import com.google.protobuf.Duration
import com.google.rpc.ErrorInfo
import io.grpc.ManagedChannel
import io.grpc.MethodDescriptor
import io.grpc.Server
import io.grpc.ServerInterceptors
import io.grpc.Status
import io.grpc.StatusException
import io.grpc.inprocess.InProcessChannelBuilder
import io.grpc.inprocess.InProcessServerBuilder
import knit.am.ApplicationLoop
import knit.am.core.Caller
import knit.am.core.ContainerRef
import knit.am.core.Due
import knit.am.core.HISTORY
import knit.am.core.NOW
import knit.am.core.Role
import knit.am.core.after
import knit.am.core.decide
import knit.am.core.granted
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.am.security.CallingAs
import knit.v1.CommitRequest
import knit.v1.CompareOperator
import knit.v1.Comparison
import knit.v1.DeleteOperation
import knit.v1.DeleteRequest
import knit.v1.GetRequest
import knit.v1.GrantLeaseRequest
import knit.v1.KeepLeaseRequest
import knit.v1.KeyRange
import knit.v1.KeyValueServiceGrpc
import knit.v1.KeyValueServiceGrpcKt.KeyValueServiceCoroutineStub
import knit.v1.Operation
import knit.v1.PutOperation
import knit.v1.PutRequest
import knit.v1.RangeOperation
import knit.v1.RangeRequest
import knit.v1.RangeResponse
import knit.v1.RevokeLeaseRequest
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import java.time.Clock
import java.util.concurrent.TimeUnit
import kotlin.random.Random
import com.google.rpc.Status as StatusMessage
import knit.v1.ContainerRef as ContainerRefMessage

@Timeout(180)
class KeyValueGrpcServiceTest {
  private val application =
    registered("worker" to service(instances = 2)).after(granted(1), started(1)).decide(Due, NOW.plusSeconds(1)).application
  private val scope = CoroutineScope(Dispatchers.Default)
  private val loop = ApplicationLoop(application, Clock.systemUTC(), {}) {}
  private val calling = CallingAs()
  private val server: Server
  private val channel: ManagedChannel
  private val keyValues: KeyValueServiceCoroutineStub

  init {
    scope.launch { loop.run() }
    val guard = CallGuard({ 0 }, {})
    val services = listOf(KeyValueGrpcService(loop), EventGrpcService(loop.snapshots, loop.changes))
    val builder = InProcessServerBuilder.forName(javaClass.name)
    services.forEach { builder.addService(guard.around(ServerInterceptors.intercept(it, ErrorStatusInterceptor(), calling))) }
    server = builder.build().start()
    channel = InProcessChannelBuilder.forName(javaClass.name).maxInboundMessageSize(AmServer.MAX_MESSAGE_BYTES).build()
    keyValues = KeyValueServiceCoroutineStub(channel)
  }

  @AfterEach
  fun stop() {
    channel.shutdownNow()
    server.shutdownNow()
    server.awaitTermination()
    scope.cancel()
  }

  private fun String.utf8() = ByteString.copyFromUtf8(this)

  private fun putting(
    key: String,
    value: ByteString = ByteString.EMPTY,
    change: PutOperation.Builder.() -> Unit = {},
  ): PutOperation.Builder =
    PutOperation
      .newBuilder()
      .setKey(key.utf8())
      .setValue(value)
      .apply(change)

  private suspend fun put(
    key: String,
    value: ByteString = ByteString.EMPTY,
    change: PutOperation.Builder.() -> Unit = {},
  ) = keyValues.put(PutRequest.newBuilder().setPut(putting(key, value, change)).build())

  private fun prefix(prefix: String): KeyRange.Builder = KeyRange.newBuilder().setPrefix(prefix.utf8())

  private suspend fun range(change: RangeRequest.Builder.() -> Unit): RangeResponse =
    keyValues.range(RangeRequest.newBuilder().apply(change).build())

  private fun refusal(call: suspend () -> Unit): Pair<Status.Code, String> {
    val refused = assertThrows<StatusException> { runBlocking { call() } }
    val details = StatusMessage.parseFrom(checkNotNull(checkNotNull(refused.trailers)[STATUS_DETAILS]))
    return refused.status.code to
      details.detailsList
        .single()
        .unpack(ErrorInfo::class.java)
        .reason
  }

  @Test
  fun whatIsPutIsThereAtOnceAndIsReadWithItsRevisions() =
    runBlocking {
      val response = put("a", "1".utf8()) { setOwner(ContainerRefMessage.newBuilder().setServiceName("worker").setOrdinal(0)) }
      assertEquals(application.sequence + 1 to HISTORY, response.revision to response.historyId)
      assertFalse(response.hasPrevious())
      val read = keyValues.get(GetRequest.newBuilder().setKey("a".utf8()).build())
      assertEquals(response.revision, read.sequence)
      val keyValue = read.keyValue
      assertEquals("1" to 1L, keyValue.value.toStringUtf8() to keyValue.valueBytes)
      assertEquals(listOf(response.revision, response.revision, 1L), keyValue.run { listOf(createRevision, modifyRevision, version) })
      assertEquals("worker" to 0, keyValue.owner.let { it.serviceName to it.ordinal })
      val again = put("a", "2".utf8()) { returnPrevious = true }
      assertEquals(keyValue, again.previous)
      assertEquals(Status.Code.NOT_FOUND to "NO_SUCH_KEY", refusal { keyValues.get(GetRequest.newBuilder().setKey("b".utf8()).build()) })
      assertEquals(Status.Code.INVALID_ARGUMENT to "INVALID_ARGUMENT", refusal { keyValues.get(GetRequest.getDefaultInstance()) })
    }

  @Test
  fun aTransactionIsComparedAndDone() =
    runBlocking {
      put("a", "1".utf8())
      val isOne =
        Comparison
          .newBuilder()
          .setKey("a".utf8())
          .setOperator(CompareOperator.COMPARE_OPERATOR_EQUAL)
          .setValue("1".utf8())
      val commit =
        CommitRequest
          .newBuilder()
          .addComparisons(isOne)
          .addOnSuccess(Operation.newBuilder().setPut(putting("a", "2".utf8()) { returnPrevious = true }))
          .addOnSuccess(Operation.newBuilder().setRange(RangeOperation.newBuilder().setRange(prefix("a"))))
          .addOnFailure(Operation.newBuilder().setDelete(DeleteOperation.newBuilder().setRange(prefix("a")).setReturnPrevious(true)))
          .setRequestId("once")
          .build()
      val done = keyValues.commit(commit)
      assertTrue(done.succeeded)
      assertEquals(listOf("1", "2"), done.resultsList.map { it.getKeyValues(0).value.toStringUtf8() })
      assertEquals(done, keyValues.commit(commit), "it is done once, and answered as before")
      assertEquals(
        Status.Code.INVALID_ARGUMENT,
        refusal {
          keyValues.put(
            PutRequest
              .newBuilder()
              .setPut(putting("b"))
              .setRequestId("x".repeat(257))
              .build(),
          )
        }.first,
      )
      val other = keyValues.commit(commit.toBuilder().setRequestId("").build())
      assertFalse(other.succeeded)
      assertEquals(1, other.getResults(0).count)
      assertEquals(
        Status.Code.OUT_OF_RANGE to "HISTORY_LOST",
        refusal { keyValues.commit(commit.toBuilder().setHistoryId("another").build()) },
      )
      assertEquals(
        Status.Code.INVALID_ARGUMENT,
        refusal {
          keyValues.commit(CommitRequest.newBuilder().addOnSuccess(Operation.getDefaultInstance()).build())
        }.first,
      )
      assertEquals(
        Status.Code.INVALID_ARGUMENT,
        refusal {
          keyValues.commit(CommitRequest.newBuilder().addComparisons(isOne.clone().clearTarget()).build())
        }.first,
      )
      val unknown = CommitRequest.newBuilder().addComparisons(isOne.clone().setOperatorValue(77)).build()
      assertEquals(Status.Code.INVALID_ARGUMENT to "UNKNOWN_FIELD", refusal { keyValues.commit(unknown) })
    }

  @Test
  fun eachOperatorAndWhatItComparesAreThoseOfTheContract() =
    runBlocking {
      val worker = ContainerRefMessage.newBuilder().setServiceName("worker").setOrdinal(0)
      val lease = keyValues.grantLease(GrantLeaseRequest.newBuilder().setTimeToLive(Duration.newBuilder().setSeconds(60)).build()).leaseId
      val created = put("a", "l".utf8()).revision
      put("a", "m".utf8()) { setOwner(worker).setLeaseId(lease) }
      val modified = put("a", "m".utf8()).revision
      val equal = "EQUAL LESS_OR_EQUAL GREATER_OR_EQUAL UNSPECIFIED"

      fun comparing(target: Comparison.Builder.() -> Unit): Comparison =
        Comparison
          .newBuilder()
          .setKey("a".utf8())
          .apply(target)
          .build()
      val table =
        mapOf(
          comparing { value = "m".utf8() } to equal,
          comparing { value = "n".utf8() } to "NOT_EQUAL LESS LESS_OR_EQUAL",
          comparing { value = "l".utf8() } to "NOT_EQUAL GREATER GREATER_OR_EQUAL",
          comparing { modifyRevision = modified } to equal,
          comparing { createRevision = created } to equal,
          comparing { version = 3 } to equal,
          comparing { setOwner(worker) } to equal,
          comparing { setOwner(ContainerRefMessage.getDefaultInstance()) } to "NOT_EQUAL",
          comparing { leaseId = lease } to equal,
          comparing { leaseId = 0 } to "NOT_EQUAL",
          comparing { exists = true } to equal,
        )
      for ((target, expected) in table) {
        val holding =
          CompareOperator.values().filter { it != CompareOperator.UNRECOGNIZED }.filter { operator ->
            val comparison = target.toBuilder().setOperator(operator)
            keyValues.commit(CommitRequest.newBuilder().addComparisons(comparison).build()).succeeded
          }
        val names = holding.map { it.name.removePrefix("COMPARE_OPERATOR_") }.toSet()
        assertEquals(expected.split(' ').toSet(), names, "$target")
      }
    }

  @Test
  fun aLeaseIsGrantedKeptAndRevoked() =
    runBlocking {
      val grant =
        GrantLeaseRequest
          .newBuilder()
          .setTimeToLive(Duration.newBuilder().setSeconds(60))
          .setRequestId("lease")
          .build()
      val lease = keyValues.grantLease(grant)
      assertEquals(lease, keyValues.grantLease(grant))
      put("a") { leaseId = lease.leaseId }
      assertEquals(60, keyValues.keepLease(KeepLeaseRequest.newBuilder().setLeaseId(lease.leaseId).build()).timeToLive.seconds)
      val revoke = RevokeLeaseRequest.newBuilder().setLeaseId(lease.leaseId).build()
      assertEquals(listOf(1L, 0L), List(2) { keyValues.revokeLease(revoke).count })
      assertEquals(0, range { countOnly = true }.count)
      assertEquals(
        Status.Code.NOT_FOUND to "NO_SUCH_LEASE",
        refusal {
          keyValues.keepLease(KeepLeaseRequest.newBuilder().setLeaseId(lease.leaseId).build())
        },
      )
      assertEquals(Status.Code.FAILED_PRECONDITION to "NO_SUCH_LEASE", refusal { put("a") { leaseId = lease.leaseId } })
      val wrong = GrantLeaseRequest.newBuilder().setTimeToLive(Duration.newBuilder().setNanos(-5)).build()
      assertEquals(Status.Code.INVALID_ARGUMENT, refusal { keyValues.grantLease(wrong) }.first)
      val none = GrantLeaseRequest.newBuilder().setTimeToLive(Duration.newBuilder().setNanos(Int.MAX_VALUE)).build()
      assertEquals(Status.Code.INVALID_ARGUMENT, refusal { keyValues.grantLease(none) }.first)
    }

  @Test
  fun aRangeComesInPagesInEitherOrder() =
    runBlocking {
      for (number in 0..9) put("a/$number", "$number".utf8())
      put("b")
      for (isDescending in listOf(false, true)) {
        val keys = ArrayList<String>()
        var token = ""
        do {
          val page =
            range {
              range = prefix("a/").build()
              pageSize = 3
              pageToken = token
              this.isDescending = isDescending
            }
          assertEquals(10, page.count)
          keys += page.keyValuesList.map { it.key.toStringUtf8() }
          token = page.nextPageToken
          // What comes and goes between two pages disturbs neither.
          put("a/0 new")
          keyValues.delete(DeleteRequest.newBuilder().setDelete(DeleteOperation.newBuilder().setRange(prefix("a/0 new"))).build())
        } while (token.isNotEmpty())
        val all = (0..9).map { "a/$it" }
        assertEquals(if (isDescending) all.reversed() else all, keys)
      }
      val bare =
        range {
          range = prefix("a/").build()
          keysOnly = true
        }
      assertTrue(bare.keyValuesList.all { it.value.isEmpty && it.valueBytes == 1L })
      assertEquals(0 to 11L, range { countOnly = true }.let { it.keyValuesCount to it.count })
      assertEquals(Status.Code.OUT_OF_RANGE to "HISTORY_LOST", refusal { range { pageToken = "another YQ" } })
      for (token in listOf("x", "$HISTORY ", "$HISTORY *", "$HISTORY A")) {
        assertEquals(Status.Code.INVALID_ARGUMENT, refusal { range { pageToken = token } }.first, token)
      }
      assertEquals(Status.Code.INVALID_ARGUMENT, refusal { range { pageSize = -1 } }.first)
      assertEquals(Status.Code.INVALID_ARGUMENT, refusal { range { range = prefix("a").setStart("a".utf8()).build() } }.first)
    }

  @Test
  fun aPageEndsBeforeFourMebibytesAndALargerValueComesAlone() =
    runBlocking {
      val sizes = listOf(1_000_000, 3_000_000, 3_000_000, 8 * 1024 * 1024, 10)
      sizes.forEachIndexed { number, size -> put("key$number", ByteString.copyFrom(ByteArray(size))) }
      val pages = ArrayList<List<Int>>()
      var token = ""
      do {
        val page = range { pageToken = token }
        assertTrue(page.keyValuesCount == 1 || page.serializedSize < 4 * 1024 * 1024)
        pages += page.keyValuesList.map { it.value.size() }
        token = page.nextPageToken
      } while (token.isNotEmpty())
      assertEquals(listOf(sizes.subList(0, 2), listOf(sizes[2]), listOf(sizes[3]), listOf(sizes[4])), pages)
    }

  @Test
  fun viewersReadKeysAndContainersWriteTheirOwn() =
    runBlocking {
      put("a", "secret".utf8()) { setOwner(ContainerRefMessage.newBuilder().setServiceName("worker").setOrdinal(1)) }
      calling.caller = Caller(Role.VIEWER)
      val seen = keyValues.get(GetRequest.newBuilder().setKey("a".utf8()).build()).keyValue
      assertEquals("" to 6L, seen.value.toStringUtf8() to seen.valueBytes)
      assertEquals(listOf(""), range {}.keyValuesList.map { it.value.toStringUtf8() })
      assertEquals(Status.Code.PERMISSION_DENIED to "PERMISSION_DENIED", refusal { put("b") })
      calling.caller = Caller(Role.CONTAINER, ContainerRef("worker", 0))
      assertEquals(Status.Code.PERMISSION_DENIED to "PERMISSION_DENIED", refusal { put("a") })
      put("b")
      assertEquals(
        "secret",
        keyValues
          .get(GetRequest.newBuilder().setKey("a".utf8()).build())
          .keyValue.value
          .toStringUtf8(),
      )
    }

  private fun outcomeOf(
    method: MethodDescriptor<*, *>,
    bytes: ByteArray,
  ): Status = channel.callWith(method, bytes).get(60, TimeUnit.SECONDS).status

  /** Millions of operations of two bytes would be hundreds of megabytes once they are read. */
  @Test
  fun aRequestOfNothingButFieldsIsNotRead() {
    val operations = ByteArray(15 * 1024 * 1024) { if (it % 2 == 0) 0x12 else 0 }
    val refused = outcomeOf(KeyValueServiceGrpc.getCommitMethod(), operations)
    assertEquals(Status.Code.INVALID_ARGUMENT, refused.code)
    assertTrue("more than 65536 fields" in refused.description.orEmpty(), refused.description)
    val few = outcomeOf(KeyValueServiceGrpc.getCommitMethod(), operations.copyOf(2 * CallGuard.MAX_FIELDS))
    assertTrue("An operation is none" in few.description.orEmpty(), few.description)
    assertEquals(Status.Code.INVALID_ARGUMENT, outcomeOf(KeyValueServiceGrpc.getCommitMethod(), Random(1).nextBytes(1_000_000)).code)
    runBlocking { put("large", ByteString.copyFrom(ByteArray(8 * 1024 * 1024))) }
  }
}

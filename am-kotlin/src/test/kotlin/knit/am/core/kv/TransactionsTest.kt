package knit.am.core.kv

import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Caller
import knit.am.core.Commit
import knit.am.core.ContainerRef
import knit.am.core.Decision
import knit.am.core.GrantLease
import knit.am.core.KeyChanged
import knit.am.core.NOW
import knit.am.core.Reason
import knit.am.core.Retention
import knit.am.core.Role
import knit.am.core.after
import knit.am.core.assertLike
import knit.am.core.decide
import knit.am.core.granted
import knit.am.core.keeping
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.time.Duration

internal val OPERATOR = Caller(Role.OPERATOR)

internal fun put(
  key: String,
  value: String? = null,
  ownership: Ownership? = null,
  leaseId: Long? = null,
  returnsPrevious: Boolean = false,
) = Operation.Put(Bytes.of(key), value?.let { Bytes.of(it) }, ownership, leaseId, returnsPrevious)

internal fun ownedBy(
  serviceName: String,
  ordinal: Int,
) = Ownership(ContainerRef(serviceName, ordinal))

internal fun delete(
  prefix: String,
  returnsPrevious: Boolean = false,
  keysOnly: Boolean = false,
) = Operation.Delete(KeyRange.of(Bytes.of(prefix)), returnsPrevious, keysOnly)

internal fun range(
  prefix: String,
  limit: Int = 0,
) = Operation.Range(KeyRange.of(Bytes.of(prefix)), limit = limit)

internal fun committing(
  vararg operations: Operation,
  caller: Caller = OPERATOR,
  requestId: String = "",
) = Commit(Transaction(emptyList(), operations.toList()), caller, requestId)

internal fun Application.value(key: String): String? = keyValues[Bytes.of(key)]?.let { String(it.value.shared) }

internal fun Application.keys(): List<String> = keyValues.list().map { String(it.key.shared) }.toList()

class TransactionsTest {
  private val application = registered("worker" to service(instances = 3)).after(granted(1), started(1), granted(2), started(2))

  private fun Application.commits(
    vararg operations: Operation,
    caller: Caller = OPERATOR,
  ): Decision<Committed> = decide(committing(*operations, caller = caller), NOW)

  private fun Application.with(vararg operations: Operation): Application = commits(*operations).application

  private inline fun <reified E : AmException> refusal(
    application: Application,
    commit: Commit,
    reason: Reason,
  ): E = assertThrows<E> { application.decide(commit, NOW) }.also { assertEquals(reason, it.reason, it.message) }

  @Test
  fun allOfATransactionHasTheRevisionOfItsTurn() {
    val decision = application.commits(put("a", "1"), put("b", "2"))
    val sequence = application.sequence + 1
    assertEquals(sequence, decision.answer.revision)
    assertEquals(sequence, decision.application.sequence)
    assertEquals(KeyValue(Bytes.of("a"), Bytes.of("1"), sequence, sequence), decision.application.keyValues[Bytes.of("a")])
    assertEquals(listOf("a", "b"), decision.changes?.changes?.map { String((it as KeyChanged).key.shared) })
    val again = decision.application.commits(put("a", "3"))
    assertEquals(
      KeyValue(Bytes.of("a"), Bytes.of("3"), sequence, sequence + 1, version = 2),
      again.application.keyValues[Bytes.of("a")],
    )
    val change = again.changes?.changes?.single() as KeyChanged
    assertEquals("1" to "3", String(checkNotNull(change.previous).value.shared) to String(checkNotNull(change.current).value.shared))
  }

  @Test
  fun oneListOrTheOtherIsDone() {
    val free = Comparison(Bytes.of("lock"), Comparison.Operator.EQUAL, Comparison.Exists(false))
    val commit = Commit(Transaction(listOf(free), listOf(put("lock", "me")), listOf(range("lock"))), OPERATOR)
    val first = application.decide(commit, NOW)
    assertTrue(first.answer.succeeded)
    val second = first.application.decide(commit, NOW)
    assertTrue(!second.answer.succeeded)
    assertNull(second.changes, "who only reads makes no turn")
    assertEquals(first.application.sequence, second.answer.revision)
    assertEquals(
      "me",
      String(
        second.answer.results
          .single()
          .keyValues
          .single()
          .keyValue.value.shared,
      ),
    )
  }

  @Test
  fun whatIsReadSeesWhatWasWrittenBeforeInTheSameTransaction() {
    val answer =
      application
        .with(
          put("a/1", "old"),
          put("b", "x"),
        ).commits(range("a/"), put("a/1", "new"), put("a/2"), range("a/"), delete("b"), range("", 1))
    val (before, _, _, after, _, last) = answer.answer.results
    assertEquals(listOf("old"), before.keyValues.map { String(it.keyValue.value.shared) })
    assertEquals(listOf("new", ""), after.keyValues.map { String(it.keyValue.value.shared) })
    assertEquals(1 to 2, last.keyValues.size to last.count)
    assertEquals(listOf("a/1", "a/2"), answer.application.keys())
  }

  private operator fun <T> List<T>.component6(): T = this[5]

  @Test
  fun whatAPutLeavesOutStaysAsItIs() {
    val leased = application.decide(GrantLease(Duration.ofMinutes(1), OPERATOR), NOW)
    val lease = leased.answer.id
    val there = leased.application.with(put("a", "1", ownedBy("worker", 0), lease))
    val written = checkNotNull(there.with(put("a", "2")).keyValues[Bytes.of("a")])
    assertEquals(ContainerRef("worker", 0) to lease, written.owner to written.leaseId)
    val freed = checkNotNull(there.with(put("a", null, Ownership(null), 0)).keyValues[Bytes.of("a")])
    assertEquals(null to 0L, freed.owner to freed.leaseId)
    assertEquals("1", String(freed.value.shared))
    assertEquals("", application.with(put("new")).value("new"))
  }

  @Test
  fun whatWasThereIsReturnedIfAskedFor() {
    val there = application.with(put("a/1", "1"), put("a/2", "2"))
    val results =
      there
        .commits(
          put("a/1", "x", returnsPrevious = true),
          put("new", "y", returnsPrevious = true),
          put("a/2", "z"),
        ).answer.results
    assertEquals(
      listOf(listOf("1"), emptyList(), emptyList()),
      results.map { each ->
        each.keyValues.map { String(it.keyValue.value.shared) }
      },
    )
    val deleted = there.commits(delete("a/", returnsPrevious = true), delete("nothing")).answer.results
    assertEquals(listOf(2, 0), deleted.map { it.count })
    assertEquals(listOf("1", "2"), deleted[0].keyValues.map { String(it.keyValue.value.shared) })
    val bare =
      there
        .commits(delete("a/", returnsPrevious = true, keysOnly = true))
        .answer.results
        .single()
        .keyValues
    assertEquals(listOf(false, false), bare.map { it.hasValue })
  }

  @Test
  fun oneThatIsRefusedHalfWayChangesNothing() {
    val there = application.with(put("a", "1"))
    val commit = committing(put("a", "2"), put("b", "3"), put("c", "4", leaseId = 77))
    val refused = refusal<AmException.FailedPrecondition>(there, commit, Reason.NO_SUCH_LEASE)
    assertTrue("77" in refused.message.orEmpty())
    assertEquals("1", there.value("a"))
    assertEquals(listOf("a"), there.keys())
  }

  @Test
  fun whatWritesAKeyTwiceIsRefusedWhicheverListItIs() {
    for (list in listOf(listOf(put("a"), put("b"), put("a")), listOf(put("a"), delete("a")), listOf(delete(""), put("a")))) {
      refusal<AmException.InvalidArgument>(application, committing(*list.toTypedArray()), Reason.INVALID_ARGUMENT)
      val other = Commit(Transaction(emptyList(), emptyList(), list), OPERATOR)
      refusal<AmException.InvalidArgument>(application, other, Reason.INVALID_ARGUMENT)
    }
    val deletedTwice = application.with(put("ab")).commits(delete("a"), delete("ab"))
    assertEquals(listOf(1, 0), deletedTwice.answer.results.map { it.count })
    assertEquals(1, deletedTwice.changes?.changes?.size)
  }

  @Test
  fun malformedOnesAreRefused() {
    refusal<AmException.InvalidArgument>(application, committing(put("")), Reason.INVALID_ARGUMENT)
    refusal<AmException.InvalidArgument>(application, committing(range("a", limit = -1)), Reason.INVALID_ARGUMENT)
    val most = Array(MAX_OPERATIONS) { put("key$it") }
    assertEquals(
      MAX_OPERATIONS,
      application
        .commits(*most)
        .application.keyValues.size,
    )
    refusal<AmException.InvalidArgument>(application, committing(*most, put("one")), Reason.INVALID_ARGUMENT)
    val comparisons = List(MAX_OPERATIONS + 1) { Comparison(Bytes.of("a"), Comparison.Operator.EQUAL, Comparison.Exists(false)) }
    refusal<AmException.InvalidArgument>(application, Commit(Transaction(comparisons, emptyList()), OPERATOR), Reason.INVALID_ARGUMENT)
    val empty = Comparison(Bytes.EMPTY, Comparison.Operator.EQUAL, Comparison.Exists(false))
    refusal<AmException.InvalidArgument>(application, Commit(Transaction(listOf(empty), emptyList()), OPERATOR), Reason.INVALID_ARGUMENT)
  }

  @Test
  fun keysAndValuesHaveAMost() {
    val longest = "k".repeat(MAX_KEY_BYTES)
    assertEquals(listOf(longest), application.with(put(longest)).keys())
    val facts = mapOf("bytes" to "1025", "max_bytes" to "1024")
    assertEquals(facts, refusal<AmException.ResourceExhausted>(application, committing(put(longest + "k")), Reason.KEY_TOO_LARGE).facts)

    val largest = Operation.Put(Bytes.of("a"), Bytes(ByteArray(MAX_VALUE_BYTES)))
    val there = application.with(largest)
    val tooLarge = Operation.Put(Bytes.of("a"), Bytes(ByteArray(MAX_VALUE_BYTES + 1)))
    refusal<AmException.ResourceExhausted>(application, committing(tooLarge), Reason.VALUE_TOO_LARGE)
    assertEquals(
      MAX_VALUE_BYTES,
      there
        .commits(largest.copy(returnsPrevious = true))
        .answer.results
        .single()
        .keyValues
        .single()
        .keyValue.value.size,
    )
  }

  @Test
  fun theStoreHasAMostAndWhatMakesItSmallerIsAlwaysDone() {
    val small = application.keeping(Retention(keyValueBytes = 1_000))
    val full = small.with(put("a", "x".repeat(400)), put("b", "x".repeat(300)))
    assertEquals(958, full.keyValues.bytes)
    val refused = refusal<AmException.ResourceExhausted>(full, committing(put("c", "")), Reason.STORE_FULL)
    assertEquals(mapOf("bytes" to "1087", "max_bytes" to "1000", "count" to "3"), refused.facts)
    assertEquals(1_000, full.with(put("b", "x".repeat(342))).keyValues.bytes, "one that fills it to the brim is done")
    refusal<AmException.ResourceExhausted>(full, committing(put("b", "x".repeat(343))), Reason.STORE_FULL)
    assertEquals(2, full.with(delete("a"), put("c", "")).keyValues.size, "what goes makes room in the same transaction")

    // Such a one comes from an Application Master that may have more.
    val over = full.keeping(Retention(keyValueBytes = 500))
    assertEquals("", over.with(put("a", "")).value("a"))
    refusal<AmException.ResourceExhausted>(over, committing(put("a", "x".repeat(401))), Reason.STORE_FULL)
  }

  @Test
  fun anAnswerHasAMostUnlessItIsOneValue() {
    val large = "x".repeat(1_500_000)
    val there = application.with(put("a/1", large), put("a/2", large), put("a/3", large))
    assertEquals(
      2,
      there
        .commits(range("a/", limit = 2))
        .answer.results
        .single()
        .keyValues.size,
    )
    refusal<AmException.ResourceExhausted>(there, committing(range("a/")), Reason.ANSWER_TOO_LARGE)
    refusal<AmException.ResourceExhausted>(there, committing(delete("a/", returnsPrevious = true)), Reason.ANSWER_TOO_LARGE)
    val many = Array(MAX_OPERATIONS) { range("a/", limit = 1) }
    refusal<AmException.ResourceExhausted>(there, committing(*many), Reason.ANSWER_TOO_LARGE)
    val trimmed = there.decide(committing(delete("a/", returnsPrevious = true)).copy(trims = true), NOW)
    assertEquals(
      listOf(true, true, false),
      trimmed.answer.results
        .single()
        .keyValues
        .map { it.hasValue },
    )
    assertEquals(emptyList<String>(), trimmed.application.keys())

    val keys =
      (1..30).fold(application) { all, number ->
        all.with(*Array(1_000) { put("%04d%05d".format(number, it) + "k".repeat(200)) })
      }
    refusal<AmException.ResourceExhausted>(keys, committing(delete("", returnsPrevious = true)).copy(trims = true), Reason.ANSWER_TOO_LARGE)
    assertEquals(
      30_000,
      keys
        .commits(delete(""))
        .answer.results
        .single()
        .count,
    )
  }

  @Test
  fun aContainerKeepsItsHandsOffTheKeysOfOthers() {
    val own = Caller(Role.CONTAINER, ContainerRef("worker", 0))
    val there = application.with(put("free"), put("mine", "1", ownedBy("worker", 0)), put("other's", "2", ownedBy("worker", 1)))
    there.commits(put("free", "x"), put("mine", "y"), put("new", "z", ownedBy("worker", 0)), caller = own)
    there.commits(put("mine", "y", Ownership(null)), delete("free"), caller = own)
    there.commits(put("free", "x", ownedBy("worker", 0)), caller = own)
    for (operation in listOf(
      put("other's", "x"),
      delete("other"),
      delete(""),
      put("free", "x", ownedBy("worker", 1)),
      put("other's", "x", Ownership(null)),
    )) {
      refusal<AmException.PermissionDenied>(there, committing(operation, caller = own), Reason.PERMISSION_DENIED)
    }
    refusal<AmException.PermissionDenied>(there, committing(put("a"), caller = Caller(Role.VIEWER)), Reason.PERMISSION_DENIED)
    assertEquals(
      1,
      there
        .commits(range("mine"), caller = Caller(Role.VIEWER))
        .answer.results.size,
    )

    // Its service has given it more.
    val operator = Caller(Role.OPERATOR, ContainerRef("worker", 0))
    assertEquals(emptyList<String>(), there.commits(delete(""), caller = operator).application.keys())
  }

  @Test
  fun anOwnerIsAContainerThatLives() {
    assertEquals(ContainerRef("worker", 2), application.with(put("a", "", ownedBy("worker", 2))).keyValues[Bytes.of("a")]?.owner)
    for (nobody in listOf(ownedBy("worker", 3), ownedBy("worker", -1), ownedBy("nobody", 0), ownedBy("", 0))) {
      refusal<AmException.NotFound>(application, committing(put("a", "", nobody)), Reason.NO_SUCH_CONTAINER)
    }
  }

  @Test
  fun theStoreIsPartOfTheRecords() {
    val there = application.with(put("b", "1", ownedBy("worker", 0)), put("a", "2")).with(put("c")).with(delete("b"))
    there.keeping(Retention()).assertLike(there)
  }

  @Test
  fun whatOnlyLooksChangesNothing() {
    assertSame(application, application.commits(range("")).application)
    assertSame(application, application.commits(delete("nothing")).application)
  }
}

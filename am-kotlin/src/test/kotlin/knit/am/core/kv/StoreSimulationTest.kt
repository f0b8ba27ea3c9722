package knit.am.core.kv

import io.kotest.property.Arb
import io.kotest.property.arbitrary.bind
import io.kotest.property.arbitrary.choose
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import io.kotest.property.arbitrary.map
import io.kotest.property.arbitrary.of
import io.kotest.property.arbitrary.orNull
import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Commit
import knit.am.core.Completed
import knit.am.core.ContainerRef
import knit.am.core.Due
import knit.am.core.FailurePolicy
import knit.am.core.GrantLease
import knit.am.core.Input
import knit.am.core.KeepLease
import knit.am.core.NOW
import knit.am.core.NodeLost
import knit.am.core.PlaceKey
import knit.am.core.Retention
import knit.am.core.RevokeLease
import knit.am.core.SeenTurns
import knit.am.core.StopContainers
import knit.am.core.decide
import knit.am.core.granted
import knit.am.core.id
import knit.am.core.isAlive
import knit.am.core.keeping
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.am.forAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.time.Duration
import java.time.Instant
import java.util.TreeMap

/** Clients that write and lease keys while containers come and go: a naive store beside it says the same after every turn. */
class StoreSimulationTest {
  private sealed interface Step

  private data object Grant : Step

  private data class Happens(
    val input: Input,
  ) : Step

  private data class Write(
    val key: String,
    val value: String,
    /** Of those that live. */
    val owner: Int?,
    /** Of those that were ever granted; -1: none. */
    val lease: Int?,
    val repeats: Boolean,
  ) : Step

  private data class Delete(
    val prefix: String,
  ) : Step

  /** Written where it has that version, else deleted. */
  private data class Swap(
    val key: String,
    val version: Long,
  ) : Step

  private data class Lease(
    val seconds: Long,
  ) : Step

  private data class Keep(
    val lease: Int,
  ) : Step

  private data class Revoke(
    val lease: Int,
  ) : Step

  private data class Pass(
    val seconds: Long,
  ) : Step

  private data class ModelKey(
    val value: String,
    val owner: ContainerRef?,
    val leaseId: Long,
    val createRevision: Long,
    val modifyRevision: Long,
    val version: Long,
  )

  private class ModelLease(
    val timeToLive: Long,
    var expiryTime: Instant,
  )

  private class Store {
    private var application: Application =
      registered("worker" to service(instances = 4, maxRestarts = 50, maxReplacements = 50, failurePolicy = FailurePolicy.FINISH_OTHERS))
        .keeping(Retention(attemptsPerRank = 1, attempts = 3, answers = 5, outdatedAnswers = 5))
    private val turns = SeenTurns(application)
    private var now = NOW
    private var leases = 0
    private var requests = 0
    private val keys = TreeMap<String, ModelKey>()
    private val keyLeases = LinkedHashMap<Long, ModelLease>()
    private val everGranted = ArrayList<Long>()

    fun take(step: Step) {
      when (step) {
        is Grant -> if (application.wanted().isNotEmpty()) send(granted(++leases, node = leases % 2))
        is Happens -> send(step.input)
        is Write -> write(step)
        is Delete -> delete(step)
        is Swap -> swap(step)
        is Lease -> grant(step)
        is Keep -> keep(step)
        is Revoke -> revoke(step)
        is Pass -> pass(step)
      }
      check("$step")
    }

    /** Whatever happens to containers, what the dead own is gone. */
    private fun send(input: Input): Any {
      val before = application
      val decision = before.decide(input, now)
      application = decision.application
      turns.take(before, decision)
      if (decision.changes != null) turns.check(application)
      keys.values.removeAll { it.owner != null && it.owner !in living() }
      return decision.answer
    }

    private fun living() =
      application.containers
        .filter { it.isAlive }
        .map { it.ref }
        .toList()

    private fun write(step: Write) {
      val living = living()
      val owner = step.owner?.let { if (living.isEmpty()) return else living[it % living.size] }
      val leaseId = step.lease?.let { if (it < 0 || everGranted.isEmpty()) 0 else everGranted[it % everGranted.size] }
      val operation = put(step.key, step.value, owner?.let { Ownership(it) }, leaseId, returnsPrevious = true)
      val command = committing(operation, requestId = if (step.repeats) "request-${requests++}" else "")
      val old = keys[step.key]
      val revision = application.sequence + 1
      try {
        val answer = send(command) as Committed
        assertEquals(
          old?.value,
          answer.results
            .single()
            .keyValues
            .singleOrNull()
            ?.keyValue
            ?.let { String(it.value.shared) },
        )
        assertEquals(revision, answer.revision)
        if (step.repeats) assertEquals(answer, send(command), "the answer to a request that is repeated")
      } catch (_: AmException.FailedPrecondition) {
        assertTrue(leaseId != 0L && leaseId != null && leaseId !in keyLeases.keys, "$command")
        return
      }
      keys[step.key] =
        ModelKey(
          step.value,
          owner ?: old?.owner,
          leaseId ?: old?.leaseId ?: 0,
          old?.createRevision ?: revision,
          revision,
          (old?.version ?: 0) + 1,
        )
    }

    private fun delete(step: Delete) {
      val gone = keys.keys.filter { it.startsWith(step.prefix) }
      val answer = send(committing(delete(step.prefix))) as Committed
      assertEquals(gone.size, answer.results.single().count)
      keys -= gone
    }

    private fun swap(step: Swap) {
      val old = keys[step.key]
      val isSame = Comparison(Bytes.of(step.key), Comparison.Operator.EQUAL, Comparison.Version(step.version))
      val commit = Commit(Transaction(listOf(isSame), listOf(put(step.key, "swapped")), listOf(delete(step.key))), OPERATOR)
      val revision = application.sequence + 1
      val answer = send(commit) as Committed
      assertEquals((old?.version ?: 0) == step.version, answer.succeeded)
      if (answer.succeeded) {
        keys[step.key] =
          old?.copy(value = "swapped", modifyRevision = revision, version = old.version + 1)
            ?: ModelKey("swapped", null, 0, revision, revision, 1)
      } else {
        keys.keys.removeAll { it.startsWith(step.key) }
      }
    }

    private fun grant(step: Lease) {
      val lease = send(GrantLease(Duration.ofSeconds(step.seconds), OPERATOR)) as KeyLease
      assertTrue(lease.id !in everGranted)
      everGranted += lease.id
      keyLeases[lease.id] = ModelLease(step.seconds, now.plusSeconds(step.seconds))
    }

    private fun keep(step: Keep) {
      if (everGranted.isEmpty()) return
      val id = everGranted[step.lease % everGranted.size]
      val lease = keyLeases[id]
      try {
        send(KeepLease(id, OPERATOR))
        checkNotNull(lease) { "$id is kept, and has ended" }.expiryTime = now.plusSeconds(lease.timeToLive)
      } catch (_: AmException.NotFound) {
        assertEquals(null, lease)
      }
    }

    private fun revoke(step: Revoke) {
      if (everGranted.isEmpty()) return
      val id = everGranted[step.lease % everGranted.size]
      val gone = keys.filterValues { it.leaseId == id }.keys.toList()
      assertEquals(gone.map { Bytes.of(it) }, send(RevokeLease(id, OPERATOR)))
      keyLeases -= id
      keys -= gone.toSet()
    }

    private fun pass(step: Pass) {
      now = now.plusSeconds(step.seconds)
      val expired = keyLeases.filterValues { it.expiryTime <= now }.keys.toSet()
      send(Due)
      keyLeases -= expired
      keys.values.removeAll { it.leaseId in expired }
    }

    private fun check(step: String) {
      val seen =
        application.keyValues.list().associate {
          String(it.key.shared) to ModelKey(String(it.value.shared), it.owner, it.leaseId, it.createRevision, it.modifyRevision, it.version)
        }
      assertEquals(keys.toMap(), seen, "after $step")
      assertEquals(keyLeases.mapValues { it.value.expiryTime }, application.keyLeases.mapValues { it.value.expiryTime }, "after $step")
      assertTrue(application.answers.size <= 10)
    }
  }

  @Test
  fun aNaiveStoreSaysTheSameWhateverHappens() =
    forAll(1_500, Arb.list(steps, 0..80), edgeCases = 0.0) { steps ->
      val store = Store()
      steps.forEach(store::take)
    }

  private val steps: Arb<Step> get() {
    val few = Arb.int(0..12)
    val key = Arb.of("a", "a/1", "a/2", "b", "")
    return Arb.choose(
      4 to Arb.of(Grant),
      3 to few.map { Happens(started(it)) },
      2 to few.map { Happens(StopContainers(emptyList(), listOf(PlaceKey("worker", it % 4)))) },
      2 to Arb.bind(few, Arb.of(0, 1, -100, -102)) { number, status -> Happens(Completed(id(number), status, "")) },
      1 to Arb.of(Happens(NodeLost("node1:8041"))),
      8 to
        Arb.bind(
          Arb.of("a", "a/1", "a/2", "b"),
          Arb.of("", "x", "long"),
          few.orNull(0.5),
          Arb.int(-1..5).orNull(0.5),
          Arb.of(true, false),
          ::Write,
        ),
      2 to key.map(::Delete),
      2 to Arb.bind(Arb.of("a", "a/1"), Arb.int(0..2)) { name, version -> Swap(name, version.toLong()) },
      2 to Arb.int(1..30).map { Lease(it.toLong()) },
      2 to few.map(::Keep),
      1 to few.map(::Revoke),
      2 to Arb.int(1..20).map { Pass(it.toLong()) },
    )
  }
}

package knit.am.bench

import knit.am.core.Application
import knit.am.core.Caller
import knit.am.core.ChangeSet
import knit.am.core.Commit
import knit.am.core.Happenings
import knit.am.core.NOW
import knit.am.core.Role
import knit.am.core.decide
import knit.am.core.kv.Bytes
import knit.am.core.kv.KeyRange
import knit.am.core.kv.Operation
import knit.am.core.kv.Transaction
import knit.am.grpc.EventFilter
import knit.am.grpc.EventTeller
import knit.am.grpc.linesOf

private const val KEYS = 10_000
private const val VALUE_BYTES = 100
private val caller = Caller(Role.OWNER)

private fun keyOf(number: Int) = Bytes.of("workers/%05d/address".format(number * 7_919 % KEYS))

private fun putting(number: Int): Commit {
  val put = Operation.Put(keyOf(number), Bytes(ByteArray(VALUE_BYTES)))
  return Commit(Transaction(emptyList(), listOf(put)), caller)
}

/** The store with 10,000 keys: what a write costs, a read, and to tell one who watches. */
internal fun measureStore(
  initial: Application,
  note: (Figure, Double) -> Unit,
) {
  val commits = List(KEYS) { putting(it) }
  val filled = commits.fold(initial) { soFar, commit -> soFar.decide(commit, NOW).application }
  val turns = ArrayList<ChangeSet>(KEYS)
  val write =
    Spent.on {
      commits.fold(filled) { soFar, commit ->
        val decision = soFar.decide(commit, NOW)
        decision.changes?.let(turns::add)
        decision.application
      }
    }
  note(Figure.PUT, write.micros / KEYS)
  note(Figure.PUT_RATE, KEYS / write.micros * 1e6)
  note(Figure.PUT_BYTES, write.kib / KEYS)

  val read = Spent.on { repeat(KEYS) { checkNotNull(filled.keyValues[keyOf(it)]) } }
  note(Figure.GET, read.micros / KEYS)

  val count = Spent.on { repeat(KEYS) { check(filled.keyValues.count(KeyRange.of(Bytes.of("workers/"))) == KEYS) } }
  note(Figure.COUNT, count.micros / KEYS)

  val happenings = Happenings(filled)
  val watcher = EventTeller(EventFilter.ofKeys()) { happenings.snapshots.value }
  val told = Spent.on { turns.forEach { turn -> check(watcher.messagesOf(turn).sumOf { it.toByteArray().size } > 0) } }
  note(Figure.TELL, told.micros / KEYS)
  note(Figure.TELL_RATE, KEYS / told.micros * 1e6)

  val written = Spent.on { turns.forEach { turn -> check(watcher.linesOf(turn).sumOf { it.length } > 0) } }
  note(Figure.WRITE_DOWN, written.micros / KEYS)
}

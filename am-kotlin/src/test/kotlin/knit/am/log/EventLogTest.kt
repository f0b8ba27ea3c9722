package knit.am.log

import knit.am.core.ChangeSet
import knit.am.core.HeaderChanged
import knit.am.core.KeyChanged
import knit.am.core.NOW
import knit.am.core.kv.Bytes
import knit.am.core.kv.KeyValue
import knit.am.core.registered
import knit.am.core.service
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Runnable
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.ConcurrentLinkedQueue
import kotlin.coroutines.CoroutineContext

class EventLogTest {
  @TempDir
  lateinit var directory: Path

  private val header = HeaderChanged(registered("worker" to service()).header)

  private fun turn(sequence: Int) = ChangeSet(sequence.toLong(), NOW, listOf(header))

  /** After the one that every file begins with. */
  private fun lines(name: String = "events.jsonl"): List<String> {
    val (first, others) = Files.readAllLines(directory.resolve(name)).let { it.first() to it.drop(1) }
    assertEquals("""{"history_id":"one"}""", first, name)
    return others
  }

  private fun written(
    maxBytes: Long,
    turns: Iterable<ChangeSet>,
    linesOf: (ChangeSet) -> Sequence<String> = { sequenceOf("""{"sequence":${it.sequence}}""") },
  ) {
    val log = EventLog(directory, "events.jsonl", maxBytes)
    turns.forEach(log::note)
    log.begin(Dispatchers.IO.limitedParallelism(1), { "one" }, linesOf)
    runBlocking { log.close() }
  }

  @Test
  fun whatIsNotedIsWrittenInOrderAlsoFromBeforeItBegan() {
    written(1_000_000, (1..5).map(::turn)) { sequenceOf("a${it.sequence}", "b${it.sequence}").filter { line -> line != "b3" } }
    assertEquals(listOf("a1", "b1", "a2", "b2", "a3", "a4", "b4", "a5", "b5"), lines())
    assertFalse(Files.exists(directory.resolve("events.1.jsonl")))
  }

  @Test
  fun ofTooMuchTheEndIsKeptAndWhatIsLostIsSaid() {
    written(2_000, (1..500).map(::turn))
    val numbers =
      (lines("events.1.jsonl") + lines()).mapNotNull { line ->
        Regex("sequence\":(\\d+)")
          .find(line)
          ?.groupValues
          ?.get(1)
          ?.toInt()
      }
    assertEquals((numbers.first()..500).toList(), numbers, "without a gap, to the end")
    val lost = (lines("events.1.jsonl") + lines()).last { "dropped_until" in it }
    assertEquals("""{"dropped_until":${numbers.first() - 1}}""", lost)
    val sizes = listOf("events.1.jsonl", "events.jsonl").map { Files.size(directory.resolve(it)) }
    assertTrue(sizes.all { it <= 1_000 } && sizes[0] > 900, "$sizes")
  }

  @Test
  fun whatTheDiskIsTooSlowForIsCounted() {
    val waiting = ConcurrentLinkedQueue<Runnable>()
    val stuck =
      object : CoroutineDispatcher() {
        override fun dispatch(
          context: CoroutineContext,
          block: Runnable,
        ) {
          waiting += block
        }
      }
    val log = EventLog(directory, "events.jsonl", 10_000_000)
    log.begin(stuck, { "one" }) { sequenceOf("${it.sequence}") }
    (1..20_003).forEach { log.note(turn(it)) }
    generateSequence { waiting.poll() }.forEach { it.run() }
    log.note(turn(20_004))
    val closing = Thread { runBlocking { log.close() } }.apply { start() }
    while (closing.isAlive) waiting.poll()?.run() ?: Thread.sleep(1)
    val expected = listOf("""{"dropped_turns":3}""") + (1..20_000).map { "$it" } + "20004"
    assertEquals(expected, lines())
  }

  @Test
  fun turnsThatWaitHoldOnlySoMuch() {
    fun writing(
      number: Int,
      mebibytes: Int,
    ): ChangeSet {
      val key = Bytes.of("a")
      val old = KeyValue(key, Bytes(ByteArray(mebibytes * 1024 * 1024)), 1, 1)
      return ChangeSet(number.toLong(), NOW, listOf(KeyChanged(key, null, old)))
    }
    written(1_000, listOf(writing(1, 20), writing(2, 1), turn(3), writing(4, 20))) { sequenceOf("${it.sequence}") }
    assertEquals(listOf("""{"dropped_turns":3}""", "1"), lines(), "one may wait whatever it holds")
    written(1_000, listOf(writing(1, 3), writing(2, 3), writing(3, 3), turn(4))) { sequenceOf("${it.sequence}") }
    assertEquals(listOf("""{"dropped_turns":1}""", "1", "2", "4"), lines())
  }

  @Test
  fun aDirectoryThatIsNotThereIsWarnedOfOnceAndHarmsNothing() {
    for (nowhere in listOf(null, directory.resolve("none"))) {
      val warnings = ConcurrentLinkedQueue<String>()
      val log = EventLog(nowhere, "events.jsonl", 1_000, warnings::add)
      (1..10).forEach { log.note(turn(it)) }
      log.begin(Dispatchers.IO.limitedParallelism(1), { "one" }) { sequenceOf("x") }
      runBlocking { log.close() }
      (1..10).forEach { log.note(turn(it)) }
      assertTrue("events.jsonl cannot be written" in warnings.single(), "$warnings")
    }
  }

  @Test
  fun oneThatNeverBeganCanBeClosed() = runBlocking { EventLog(directory, "events.jsonl", 1_000).close() }
}

package knit.am.log

import knit.am.core.ContainerKey
import knit.am.core.Place
import knit.am.core.key
import knit.am.core.lease
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Files
import java.nio.file.Path

class ContainerJournalTest {
  @TempDir
  lateinit var directory: Path

  private fun journal(directory: Path?) = ContainerJournal(directory, Dispatchers.IO.limitedParallelism(1))

  private fun lines(): List<String> = Files.readAllLines(directory.resolve("containers.jsonl"))

  @Test
  fun aLineIsAJsonObject() {
    val table =
      listOf(
        ContainerKey(Place("worker", 0), 1) to
          """{"container_id":"container_7","service":"worker","rank":0,"attempt_number":1,"node_id":"node2:8041"}""",
        ContainerKey(Place("a \"b\" \\c\n\u0001 ü", 12), 3) to
          """{"container_id":"container_7","service":"a \"b\" \\c\u000a\u0001 ü","rank":12,"attempt_number":3,"node_id":"node2:8041"}""",
      )
    for ((key, line) in table) assertEquals(line, ContainerJournal.lineOf(key, lease(7, node = 2)))
  }

  @Test
  fun whatIsNotedIsInTheFileAtOnceAfterWhatWasThere() =
    runBlocking {
      directory.resolve("containers.jsonl").toFile().writeText("{}\n")
      val journal = journal(directory)
      for (number in 0..2) {
        journal.note(key("worker", number), lease(number))
        assertEquals(number + 2, lines().size)
      }
      assertEquals(listOf("{}") + (0..2).map { ContainerJournal.lineOf(key("worker", it), lease(it)) }, lines())
    }

  @Test
  fun linesOfContainersThatAreLaunchedTogetherAreWhole() {
    val journal = journal(directory)
    runBlocking(Dispatchers.Default) {
      coroutineScope { repeat(500) { launch { journal.note(key("worker", it), lease(it)) } } }
    }
    assertEquals((0 until 500).map { ContainerJournal.lineOf(key("worker", it), lease(it)) }.toSet(), lines().toSet())
    assertEquals(500, lines().size)
  }

  @Test
  fun aFileThatCannotBeWrittenIsWarnedOfOnce() {
    val file = directory.resolve("file").apply { toFile().writeText("") }
    for (broken in listOf(null, directory.resolve("nowhere"), file)) {
      val warnings = mutableListOf<String>()
      val journal = ContainerJournal(broken, Dispatchers.IO.limitedParallelism(1), warnings::add)
      runBlocking { repeat(3) { journal.note(key("worker", it), lease(it)) } }
      assertTrue("containers.jsonl cannot be written" in warnings.single(), "$warnings")
    }
  }
}

package knit.am.log

import knit.am.core.ContainerKey
import knit.am.core.Due
import knit.am.core.FinalStatus
import knit.am.core.Launch
import knit.am.core.NOW
import knit.am.core.Outcome
import knit.am.core.PlaceKey
import knit.am.core.after
import knit.am.core.completed
import knit.am.core.decide
import knit.am.core.granted
import knit.am.core.id
import knit.am.core.key
import knit.am.core.lease
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.am.core.stopping
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Runnable
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Files
import java.nio.file.Path
import kotlin.coroutines.CoroutineContext

class ContainerIndexTest {
  @TempDir
  lateinit var directory: Path

  private fun lines(): List<String> = Files.readAllLines(directory.resolve("containers.jsonl"))

  private fun launch(number: Int) = Launch(key("worker", number), number, 1, lease(number), service())

  /** What is in the file once all of [notes] is. */
  private fun written(
    maxBytes: Long = ContainerIndex.MAX_BYTES,
    notes: ContainerIndex.() -> Unit,
  ): List<String> {
    val index = ContainerIndex(directory, Dispatchers.IO.limitedParallelism(1), maxBytes)
    index.notes()
    runBlocking { index.close() }
    return lines()
  }

  @Test
  fun aLaunchIsAJsonObject() {
    val table =
      listOf(
        ContainerKey(PlaceKey("worker", 0), 1) to
          """{"container_id":"container_7","service":"worker","rank":0,"attempt_number":1,"ordinal":5,"revision":2,"node_id":"node2:8041"}""",
        ContainerKey(PlaceKey("a \"b\" \\c\n\u0001 ü", 12), 3) to
          """{"container_id":"container_7","service":"a \"b\" \\c\u000a\u0001 ü","rank":12,"attempt_number":3,"ordinal":5,"revision":2,"node_id":"node2:8041"}""",
      )
    for ((key, line) in table) assertEquals(line, ContainerIndex.lineOf(Launch(key, 5, 2, lease(7, node = 2), service())))
  }

  @Test
  fun anEndTellsWhatAListOfContainersWould() {
    val application = registered("worker" to service(instances = 2))
    val ready = application.after(granted(1), started(1)).decide(Due, NOW.plusSeconds(1)).application
    val ended = ready.after(stopping(1), completed(1, 143, "Killed \"so\"\n")).container(id(1))
    assertEquals(
      """{"container_id":"container_1","service":"worker","rank":0,"attempt_number":1,"ordinal":0,"revision":1,"node_id":"node1:8041",""" +
        """"state":"STOPPED","reason":"STOPPED","exit_code":143,"signal":15,"diagnostics":"Killed \"so\"\u000a",""" +
        """"request_time":"$NOW","start_time":"$NOW","ready_time":"${NOW.plusSeconds(
          1,
        )}","finish_time":"$NOW","memory_mib":256,"vcores":1}""",
      ContainerIndex.lineOf(checkNotNull(ended)),
    )
    val never = application.after(knit.am.core.EndApplication(FinalStatus.KILLED, "")).container(key("worker", 1))
    assertEquals(
      """{"container_id":"","service":"worker","rank":1,"attempt_number":1,"ordinal":1,"revision":1,"node_id":"",""" +
        """"state":"STOPPED","reason":"APPLICATION_ENDED","exit_code":null,"signal":null,"diagnostics":"It was not started yet.",""" +
        """"request_time":"$NOW","start_time":null,"ready_time":null,"finish_time":"$NOW","memory_mib":256,"vcores":1}""",
      ContainerIndex.lineOf(checkNotNull(never)),
    )
  }

  @Test
  fun theApplicationsBeginningAndEndStandAroundThem() {
    val lines =
      written {
        begun(2, NOW)
        ended(Outcome(FinalStatus.FAILED, "worker 0 failed.", 3))
      }
    assertEquals(
      listOf("""{"attempt":2,"start_time":"$NOW"}""", """{"outcome":"FAILED","diagnostics":"worker 0 failed.","exit_code":3}"""),
      lines,
    )
  }

  @Test
  fun whatIsNotedStandsInOrderAfterWhatWasThere() {
    directory.resolve("containers.jsonl").toFile().writeText("{}\n")
    val lines = written { for (number in 0..2) launched(launch(number)) }
    assertEquals(listOf("{}") + (0..2).map { ContainerIndex.lineOf(launch(it)) }, lines)
  }

  @Test
  fun linesOfContainersThatAreLaunchedTogetherAreWhole() {
    val lines =
      written {
        runBlocking(Dispatchers.Default) {
          coroutineScope { repeat(500) { launch { launched(launch(it)) } } }
        }
      }
    assertEquals((0 until 500).map { ContainerIndex.lineOf(launch(it)) }.toSet(), lines.toSet())
    assertEquals(500, lines.size)
  }

  @Test
  fun itsLastLineSaysThatLinesAreMissing() {
    val lines = written(maxBytes = 1_000) { repeat(100) { launched(launch(it)) } }
    assertEquals("""{"truncated":true}""", lines.last())
    assertTrue(lines.size in 5..15, "${lines.size}")
    assertTrue(Files.size(directory.resolve("containers.jsonl")) <= 1_000)
    assertEquals(lines.indices.map { it == lines.lastIndex }, lines.map { "truncated" in it })
  }

  /** A disk that hangs for as long as a test wants. */
  private class Stuck : CoroutineDispatcher() {
    val waiting = mutableListOf<Runnable>()

    override fun dispatch(
      context: CoroutineContext,
      block: Runnable,
    ) {
      waiting += block
    }
  }

  @Test
  fun aDiskThatHangsHoldsNobodyUpAndLosesWhatIsTooMuch() {
    val disk = Stuck()
    val index = ContainerIndex(directory, disk)
    val number = 20_000
    repeat(2 * number) { index.launched(launch(it)) }
    while (disk.waiting.isNotEmpty()) disk.waiting.removeAt(0).run()
    val lines = lines()
    assertEquals(number + 1, lines.size)
    assertEquals("""{"truncated":true}""", lines.last())
  }

  @Test
  fun aFileThatCannotBeWrittenIsWarnedOfOnce() {
    val file = directory.resolve("file").apply { toFile().writeText("") }
    for (broken in listOf(null, directory.resolve("nowhere"), file)) {
      val warnings = mutableListOf<String>()
      val index = ContainerIndex(broken, Dispatchers.IO.limitedParallelism(1), warn = warnings::add)
      repeat(3) { index.launched(launch(it)) }
      runBlocking { index.close() }
      assertTrue("containers.jsonl cannot be written" in warnings.single(), "$warnings")
    }
  }
}

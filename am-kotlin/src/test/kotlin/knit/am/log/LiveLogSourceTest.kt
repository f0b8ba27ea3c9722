package knit.am.log

import knit.am.AmException
import knit.am.core.Container
import knit.am.core.ContainerExit
import knit.am.core.ContainerState
import knit.am.core.ExitReason
import knit.am.core.Lease
import knit.am.core.NOW
import knit.am.core.SMALL
import knit.am.core.key
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import java.io.ByteArrayOutputStream
import java.util.concurrent.atomic.AtomicInteger
import kotlin.random.Random

@Timeout(60)
class LiveLogSourceTest {
  private val node = FakeNodeServer()
  private val source = LiveLogSource(NodeLogClient(lazyOf(null), "ann", readTimeoutMillis = 5_000), Dispatchers.IO)
  private val container =
    MutableStateFlow(
      Container(
        key("worker", 0),
        ContainerState.RUNNING,
        SMALL,
        emptyMap(),
        NOW,
        Lease("container_1", "node1:8041", node.address, SMALL),
        startTime = NOW,
      ),
    )

  @AfterEach
  fun closeNode() = node.close()

  private fun end(reason: ExitReason = ExitReason.EXITED) {
    container.value = container.value.copy(state = ContainerState.SUCCEEDED, exit = ContainerExit(reason, 0, NOW, ""))
  }

  private fun read(
    start: LogStart = LogStart.Offset(0),
    follow: Boolean = false,
  ): List<LogPiece> = runBlocking { source.read(container, "stdout", start, follow).toList() }

  /** The bytes; checks that offsets have neither gap nor overlap, and that a beginning and the end are where they belong. */
  private fun List<LogPiece>.bytes(): ByteArray {
    val out = ByteArrayOutputStream()
    val begin = first() as? LogPiece.Begin
    val chunks = drop(if (begin == null) 0 else 1).dropLast(1).map { it as LogPiece.Chunk }
    val end = last() as LogPiece.End
    var next = begin?.offsetBytes ?: chunks.firstOrNull()?.offsetBytes ?: end.offsetBytes
    for (chunk in chunks) {
      assertEquals(next, chunk.offsetBytes)
      assertTrue(chunk.data.isNotEmpty() && chunk.data.size <= MAX_CHUNK_BYTES)
      out.write(chunk.data)
      next += chunk.data.size
    }
    assertEquals(next, end.offsetBytes)
    return out.toByteArray()
  }

  private fun List<LogPiece>.text() = String(bytes())

  private fun List<LogPiece>.reason() = (last() as LogPiece.End).incompleteReason

  @Test
  fun aFileIsReadFromAnyOffsetWithoutTheNodesOwnLines() {
    node.files["stdout"] = "0123456789\nLogContents:\nEnd of LogType:stdout\n".toByteArray()
    val whole = String(node.files.getValue("stdout"))
    for (offset in listOf(0, 1, 5, whole.length - 1, whole.length)) {
      assertEquals(whole.drop(offset), read(LogStart.Offset(offset.toLong())).text())
    }
    assertTrue(node.requests.all { "user.name=ann" in it })
  }

  @Test
  fun anEmptyFileIsEmptyOnHadoop2Too() {
    node.files["stdout"] = ByteArray(0)
    for (isOfHadoop2 in listOf(false, true)) {
      node.isOfHadoop2 = isOfHadoop2
      val pieces = read()
      assertEquals("", pieces.text())
      assertEquals("", pieces.reason())
    }
    end()
    assertEquals("", read(follow = true).reason())
  }

  @Test
  fun aFileThatDoesNotExistIsEmpty() {
    assertEquals("", read().text())
    end()
    assertEquals("", read(follow = true).reason())
  }

  @Test
  fun aFollowerGetsWhatIsWrittenAndEndsWithTheContainer() {
    val writer = ByteArrayOutputStream()
    val pieces =
      runBlocking {
        launch(Dispatchers.IO) {
          repeat(40) { number ->
            writer.write("line $number ${"x".repeat(number * 50)}\n".toByteArray())
            node.files["stdout"] = writer.toByteArray()
            delay(7)
          }
          end()
        }
        source.read(container, "stdout", LogStart.Offset(0), follow = true).toList()
      }
    assertArrayEquals(writer.toByteArray(), pieces.bytes())
    assertEquals("", pieces.reason())
  }

  @Test
  fun growthBetweenTheLookAndTheReadLeavesNoGap() {
    val data = Random(1).nextBytes(3_000_000)
    val length = AtomicInteger(100)
    node.files["stdout"] = data.copyOf(100)
    // Grows by more each time it is looked at, as if written to faster than it is read.
    node.beforeAnswer = {
      val longer = (length.get() * 5 / 2).coerceAtMost(data.size)
      length.set(longer)
      node.files["stdout"] = data.copyOf(longer)
      if (longer == data.size) end()
    }
    assertArrayEquals(data, read(follow = true).bytes())
  }

  @Test
  fun aConnectionTheNodeCutsIsTakenUpAgain() {
    node.files["stdout"] = Random(2).nextBytes(1_000_000)
    node.cuts += listOf(0, 70_000, 1, 300_000, 65_536)
    end()
    val pieces = read(follow = true)
    assertArrayEquals(node.files["stdout"], pieces.bytes())
    assertEquals("", pieces.reason())
  }

  @Test
  fun aLargeFilePassesThroughInBoundedMemoryAtTheReadersPace() {
    node.files["stdout"] = Random(3).nextBytes(64 * 1024 * 1024)
    var bytes = 0L
    var largest = 0
    runBlocking {
      source.read(container, "stdout", LogStart.Offset(0), follow = false).onEach { if (bytes < 1_000_000) delay(5) }.collect { piece ->
        if (piece is LogPiece.Chunk) {
          assertEquals(bytes, piece.offsetBytes)
          bytes += piece.data.size
          largest = maxOf(largest, piece.data.size)
        }
      }
    }
    assertEquals(64L * 1024 * 1024, bytes)
    assertTrue(largest <= MAX_CHUNK_BYTES)
  }

  @Test
  fun theLastLinesAreFoundFromTheEnd() {
    val lines = List(50_000) { "line $it" }
    val ended = lines.joinToString("\n", postfix = "\n")
    val table =
      listOf(
        ended to 0L to "",
        ended to 1L to "line 49999\n",
        ended to 3L to "line 49997\nline 49998\nline 49999\n",
        ended to 20_000L to lines.takeLast(20_000).joinToString("\n", postfix = "\n"),
        ended to 1_000_000L to ended,
        "a\nb\nunfinished" to 2L to "b\nunfinished",
        "" to 5L to "",
        "\n\n\n" to 2L to "\n\n",
        "only" to 1L to "only",
        "a\nb\n" to 0L to "",
      )
    for (isOfHadoop2 in listOf(false, true)) {
      node.isOfHadoop2 = isOfHadoop2
      for ((given, expected) in table) {
        val (content, count) = given
        node.files["stdout"] = content.toByteArray()
        val pieces = read(LogStart.TailLines(count))
        assertEquals(expected, pieces.text(), "the last $count lines")
        val begin = pieces.filterIsInstance<LogPiece.Begin>().single().offsetBytes
        assertEquals(content.removeSuffix(expected).length.toLong(), begin, "where the last $count lines begin")
      }
    }
  }

  @Test
  fun anIdleFollowerAsksLittleAndLessAndLess() {
    node.files["stdout"] = ByteArray(100_000) { 'x'.code.toByte() }
    runBlocking {
      val follower = launch(Dispatchers.IO) { source.read(container, "stdout", LogStart.Offset(0), follow = true).collect {} }
      delay(3_000)
      follower.cancel()
    }
    assertTrue(node.requests.size in 3..14, "${node.requests.size} requests in three seconds")
    val last =
      node.requests
        .last()
        .substringAfter("size=-")
        .substringBefore('&')
        .toLong()
    assertTrue(last <= 4_096, "asked for $last bytes while nothing was written")
  }

  @Test
  fun anOffsetPastAFinishedFileIsRefusedAndPastAGrowingOneIsWaitedFor() {
    node.files["stdout"] = "12345".toByteArray()
    assertEquals("", read(LogStart.Offset(9)).text())
    end()
    assertThrows(AmException.OutOfRange::class.java) { read(LogStart.Offset(9)) }
  }

  @Test
  fun aNodeThatHasForgottenTheApplicationIsTheEndsReason() {
    end()
    node.missing = "Unknown container. Container either has not started or has already completed"
    assertTrue("no more" in read(follow = true).reason())
  }

  @Test
  fun aNodeThatDoesNotAnswerIsTheEndsReason() {
    node.close()
    end(ExitReason.NODE_LOST)
    val pieces = read(LogStart.Offset(7), follow = true)
    assertEquals(7, (pieces.single() as LogPiece.End).offsetBytes)
    assertTrue("node1" in pieces.reason())
  }

  @Test
  fun filesAreListedByNameWithoutAggregatedOnes() {
    node.files["stdout"] = ByteArray(3)
    node.files["prelaunch.out"] = ByteArray(0)
    assertEquals(listOf(LogFile("prelaunch.out", 0), LogFile("stdout", 3)), runBlocking { source.files(container.value) })
    node.close()
    assertThrows(AmException.Unavailable::class.java) { runBlocking { source.files(container.value) } }
  }
}

package knit.am.log

import knit.am.core.AmException
import knit.am.core.Container
import knit.am.core.ContainerExit
import knit.am.core.ContainerState
import knit.am.core.ExitReason
import knit.am.core.Granted
import knit.am.core.Happenings
import knit.am.core.Lease
import knit.am.core.NOW
import knit.am.core.SMALL
import knit.am.core.Shape
import knit.am.core.Variant
import knit.am.core.after
import knit.am.core.id
import knit.am.core.key
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.coroutines.yield
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import java.io.ByteArrayOutputStream
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicInteger
import kotlin.random.Random

@Timeout(60)
class LiveLogSourceTest {
  private val node = FakeNodeServer()
  private val source = LiveLogSource(NodeLogClient(lazyOf(null), NodeAccess("ann"), readTimeoutMillis = 5_000), Dispatchers.IO)
  private val container =
    MutableStateFlow(
      Container(
        key("worker", 0),
        ContainerState.RUNNING,
        ordinal = 0,
        revision = 1,
        Variant(0, SMALL, emptyMap()),
        NOW,
        Lease("container_1", "node1:8041", node.address, SMALL),
        startTime = NOW,
      ),
    )

  @AfterEach
  fun closeNode() = node.close()

  private fun end(
    reason: ExitReason = ExitReason.EXITED,
    isRunning: Boolean = false,
  ) {
    node.isRunning = isRunning
    container.value = container.value.copy(state = ContainerState.SUCCEEDED, exit = ContainerExit(reason, 0, NOW, ""))
  }

  private val budget = ReadBudget()

  private fun read(
    start: LogStart = LogStart.Offset(0),
    follow: Boolean = false,
  ): List<LogPiece> = runBlocking { pieces(start, follow).toList() }

  /** As a stream reads it, without all that streams do beside. */
  private fun pieces(
    start: LogStart,
    follow: Boolean,
    fileName: String = "stdout",
    from: LiveLogSource = source,
    hurry: Int = 1,
  ): Flow<LogPiece> =
    channelFlow {
      val mine = StreamBudget()
      val reader = from.reader(container.value, fileName, start, follow)
      try {
        while (true) {
          val before = container.value
          val out = ArrayList<LogPiece>()
          val next =
            reader.read(
              before,
              ReadTurn(budget, mine) { piece, hasChunk -> out.add(piece).also { if (hasChunk) mine.chunks.release() } },
            )
          out.forEach { send(it) }
          when (next) {
            LogReader.Next.Ended -> break
            LogReader.Next.Soon -> yield()
            is LogReader.Next.Later -> withTimeoutOrNull(next.millis / hurry) { container.first { it !== before } }
          }
        }
      } finally {
        reader.close()
      }
    }.buffer(0)

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
    node.files["stdout"] = ByteArray(0)
    node.files["stderr"] = ByteArray(0)
    end()
    for (follow in listOf(false, true)) {
      val end = runBlocking { pieces(LogStart.Offset(0), follow, fileName = "app.log").toList() }.single() as LogPiece.End
      assertEquals(0 to "", end.offsetBytes.toInt() to end.incompleteReason)
      assertTrue(!end.mayBeCollected)
    }
  }

  /** As by a node that collects while applications run: whoever reads later is told where to look. */
  @Test
  fun whatTheNodeHasRemovedOfAnEndedContainerMayBeCollected() {
    end()
    val starts = listOf(LogStart.Offset(0), LogStart.TailLines(1))
    for (fileName in listOf("stdout", "stderr", "app.log")) {
      for (start in starts) {
        for (follow in listOf(false, true)) {
          val end = runBlocking { pieces(start, follow, fileName).toList() }.single() as LogPiece.End
          assertEquals(0, end.offsetBytes)
          assertTrue(end.mayBeCollected, fileName)
          assertTrue("YARN has collected it" in end.incompleteReason, end.incompleteReason)
        }
      }
    }
  }

  @Test
  fun whatWasReadBeforeTheNodeRemovedTheRestMayBeCollectedToo() {
    end()
    val end = read(LogStart.Offset(7), follow = true).single() as LogPiece.End
    assertEquals(7, end.offsetBytes)
    assertTrue(end.mayBeCollected)
  }

  /** What nobody has written, or who has forgotten the application cannot know, is not looked for elsewhere. */
  @Test
  fun whatNeverRanOrIsOfALostNodeIsNotSaidToBeCollected() {
    end(ExitReason.NODE_LOST)
    assertTrue(read().all { it is LogPiece.End && !it.mayBeCollected && it.incompleteReason != "" })
    end()
    node.missing = "Unknown container. Container either has not started or has already completed"
    assertTrue(read().all { it is LogPiece.End && !it.mayBeCollected && it.incompleteReason != "" })
    node.missing = null
    container.value = container.value.copy(startTime = null)
    assertTrue(read().all { it is LogPiece.End && !it.mayBeCollected && it.incompleteReason == "" })
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
        pieces(LogStart.Offset(0), follow = true).toList()
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
      val follower = launch(Dispatchers.IO) { pieces(LogStart.Offset(0), follow = true).collect {} }
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
  fun anotherServerThatANodeRefersToIsNotAsked() {
    FakeNodeServer().use { history ->
      history.files["stdout"] = "<html>not the file</html>".toByteArray()
      node.successor = history.address
      end()
      val pieces = read(follow = true)
      assertEquals("", pieces.text())
      assertTrue("refers to another server" in pieces.reason(), pieces.reason())
      assertThrows(AmException.Unavailable::class.java) { runBlocking { source.files(container.value) } }
      assertEquals(emptyList<String>(), history.requests)
    }
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

  private fun List<LogPiece>.cut() = dropWhile { it !is LogPiece.Begin || !it.isCut }

  @Test
  fun aFileThatIsCutBeginsAnewAndSaysSo() {
    node.files["stdout"] = "old-1 old-2 old-3 ".toByteArray()
    val pieces =
      runBlocking(Dispatchers.IO) {
        pieces(LogStart.Offset(0), follow = true)
          .onEach { piece ->
            val data = (piece as? LogPiece.Chunk)?.data?.let { String(it) }.orEmpty()
            if ("old-3" in data) node.files["stdout"] = "NEW-1 ".toByteArray()
            if ("NEW-1" in data) {
              node.files["stdout"] = "NEW-1 NEW-2 ".toByteArray()
              end()
            }
          }.toList()
      }
    assertEquals("old-1 old-2 old-3 ", pieces.takeWhile { it is LogPiece.Chunk }.joinToString("") { String((it as LogPiece.Chunk).data) })
    assertEquals("NEW-1 NEW-2 ", pieces.cut().text())
    assertEquals(0L, (pieces.cut().first() as LogPiece.Begin).offsetBytes)
    assertEquals("", pieces.reason())
  }

  @Test
  fun aFileThatWasCutWhileNobodyReadItBeginsAnew() {
    node.files["stdout"] = "NEW".toByteArray()
    val pieces =
      runBlocking(Dispatchers.IO) {
        pieces(LogStart.Offset(9), follow = true).onEach { if (it is LogPiece.Chunk) end() }.toList()
      }
    assertEquals(pieces.size, pieces.cut().size)
    assertEquals("NEW", pieces.cut().text())
  }

  @Test
  fun aNodeThatYarnHasGivenUpEndsNoFileInSilence() {
    node.files["stdout"] = "all that was read".toByteArray()
    // It hung, and is back: the program has been running all the while.
    end(ExitReason.NODE_LOST, isRunning = true)
    val pieces = runBlocking { pieces(LogStart.Offset(0), follow = true, hurry = 50).toList() }
    assertEquals("all that was read", pieces.text())
    assertTrue("given up node node1" in pieces.reason(), pieces.reason())
    // Hadoop 2 does not say whether it runs.
    node.isRunning = false
    assertTrue("given up node node1" in read(follow = true).reason())
  }

  @Test
  fun aNodeThatHangsUntilItIsGivenUpIsTheEndsReason() {
    val impatient = LiveLogSource(NodeLogClient(lazyOf(null), NodeAccess("ann"), readTimeoutMillis = 200), Dispatchers.IO)
    node.files["stdout"] = "some".toByteArray()
    val pieces =
      runBlocking(Dispatchers.IO) {
        pieces(LogStart.Offset(0), follow = true, from = impatient)
          .onEach {
            node.beforeAnswer = { Thread.sleep(2_000) }
            node.files["stdout"] = "some and more".toByteArray()
            end(ExitReason.NODE_LOST)
          }.toList()
      }
    assertEquals("some", pieces.text())
    assertTrue("could not be read from" in pieces.reason(), pieces.reason())
  }

  @Test
  fun whatAContainerWritesAfterItsEndWasReportedIsReadToo() {
    node.files["stdout"] = "before ".toByteArray()
    end(ExitReason.PREEMPTED, isRunning = true)
    val pieces =
      runBlocking(Dispatchers.IO) {
        pieces(LogStart.Offset(0), follow = true)
          .onEach { piece ->
            if (piece is LogPiece.Chunk && piece.offsetBytes == 0L) {
              node.files["stdout"] = "before after".toByteArray()
              node.isRunning = false
            }
          }.toList()
      }
    assertEquals("before after", pieces.text())
    assertEquals("", pieces.reason())
  }

  @Test
  fun aMissingFileIsAskedForOnceForAllWhoWaitForIt() {
    node.files["stdout"] = ByteArray(0)
    val followers = 20
    val texts =
      runBlocking(Dispatchers.IO) {
        val reading = List(followers) { async { pieces(LogStart.Offset(0), follow = true, fileName = "x.log").toList() } }
        delay(4_000)
        // Each has tried it once, and lists were asked for less and less often.
        assertTrue(node.requests.count { "x.log" in it } <= followers, "${node.requests.count { "x.log" in it }} times")
        val lists = node.requests.count { "x.log" !in it }
        assertTrue(lists in 1..16, "$lists lists in four seconds")
        node.files["x.log"] = "there".toByteArray()
        end()
        reading.awaitAll().map { it.text() }
      }
    assertEquals(List(followers) { "there" }, texts)
  }

  @Test
  fun theLastLineOfAFileWithoutNewlinesIsItsLastMebibyte() {
    node.files["stdout"] = ByteArray(5 * LinePieces.MAX_LINE_BYTES) { 'x'.code.toByte() }
    val begin = read(LogStart.TailLines(1)).first() as LogPiece.Begin
    assertEquals(4L * LinePieces.MAX_LINE_BYTES, begin.offsetBytes)
    val asked = node.requests.size
    assertTrue(asked <= 6, "$asked requests")
    node.files["stdout"] = node.files.getValue("stdout") + "\nlast\n".toByteArray()
    assertEquals("last\n", read(LogStart.TailLines(1)).text())
  }

  @Test
  fun silentNodesHoldUpNoLogsOfOthers() {
    val isOver = CountDownLatch(1)
    val silent = List(12) { FakeNodeServer().apply { beforeAnswer = { isOver.await() } } }
    node.files["stdout"] = "said".toByteArray()
    val application =
      (1..silent.size * 10 + 1).fold(registered("worker" to service(instances = silent.size * 10 + 1))) { soFar, number ->
        val address = silent.getOrNull((number - 1) / 10)?.address ?: node.address
        soFar.after(Granted(Lease(id(number), "node$number:8041", address, SMALL), Shape(SMALL)), started(number))
      }
    val said = id(silent.size * 10 + 1)
    try {
      runBlocking(Dispatchers.IO) {
        val query = LogQuery(emptySet(), emptySet(), listOf("stdout"), true, null, emptyMap())
        val streams = Happenings(application).let { LogStreams(it.snapshots, it.changes, source) }
        val item =
          withTimeout(30_000) {
            streams.stream(query).first { it.container.lease?.containerId == said }
          }
        assertEquals("said", String((item.piece as LogPiece.Chunk).data))
        assertTrue(silent.all { it.requests.size <= 1 }, "a node that has not answered is asked once at a time")
      }
    } finally {
      isOver.countDown()
      silent.forEach { it.close() }
    }
  }
}

package knit.am.log

import com.sun.net.httpserver.HttpExchange
import knit.am.core.Container
import knit.am.core.ContainerExit
import knit.am.core.ContainerState
import knit.am.core.ExitReason
import knit.am.core.Lease
import knit.am.core.NOW
import knit.am.core.SMALL
import knit.am.core.Variant
import knit.am.core.key
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout

/** Files that are taken away while they are followed. */
@Timeout(60)
class ReplacedFilesTest {
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

  /** Follows a file to the container's end, and tells what comes as `cut`, the text of a chunk, or `end`. */
  private fun follow(
    fileName: String,
    onText: (String) -> Unit,
  ): List<String> =
    runBlocking {
      val budget = ReadBudget()
      val mine = StreamBudget()
      val reader = source.reader(container.value, fileName, LogStart.Offset(0), follow = true)
      val told = ArrayList<String>()
      while (true) {
        val before = container.value
        val turn =
          ReadTurn(budget, mine) { piece, hasChunk ->
            told +=
              when (piece) {
                is LogPiece.Begin -> "cut ${piece.isCut}"
                is LogPiece.Chunk -> String(piece.data).also(onText)
                is LogPiece.End -> "end ${piece.offsetBytes}${piece.incompleteReason}"
              }
            if (hasChunk) mine.chunks.release()
          }
        val next = reader.read(before, turn)
        if (next is LogReader.Next.Ended) break
        if (next is LogReader.Next.Later) withTimeoutOrNull(next.millis) { container.first { it !== before } }
      }
      reader.close()
      told
    }

  private fun end() {
    node.isRunning = false
    container.value = container.value.copy(state = ContainerState.SUCCEEDED, exit = ContainerExit(ExitReason.EXITED, 0, NOW, ""))
  }

  /** Does something once the node was asked for the file again, and has answered: then it is asked what files there are. */
  private fun onceItWasMissed(then: () -> Unit) {
    var isMissed = false
    node.gate = { exchange: HttpExchange ->
      if (exchange.requestURI.path.endsWith("/logs") && isMissed) then() else isMissed = true
      null
    }
  }

  /** As by a rotation that gives a name again, once the node has collected and removed what had it. */
  @Test
  fun aLongerFileThatTakesTheNameOfOneThatIsGoneIsReadFromItsStart() {
    val name = "app.log.1.rolled"
    node.files[name] = "first ".toByteArray()
    val told =
      follow(name) { text ->
        if (text == "first ") {
          node.files.remove(name)
          onceItWasMissed { node.files[name] = "the second one".toByteArray() }
        } else {
          end()
        }
      }
    assertEquals(listOf("first ", "cut true", "the second one", "end 14"), told)
  }

  /** Until it has recovered it knows nothing of the application, and shows nothing of it. */
  @Test
  fun aNodeThatIsRestartedShowsNothingTwice() {
    node.files["stdout"] = "first ".toByteArray()
    val told =
      follow("stdout") { text ->
        if (text == "first ") {
          node.missing = "Unknown container. Container either has not started or has already completed."
          onceItWasMissed {
            node.files["stdout"] = "first second".toByteArray()
            node.missing = null
          }
        } else {
          end()
        }
      }
    assertEquals(listOf("first ", "second", "end 12"), told)
  }
}

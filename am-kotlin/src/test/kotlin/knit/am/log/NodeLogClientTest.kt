package knit.am.log

import com.sun.management.ThreadMXBean
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import java.io.BufferedReader
import java.io.IOException
import java.io.OutputStream
import java.lang.management.ManagementFactory
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.atomic.AtomicLong
import kotlin.concurrent.thread

/** How a node is asked, and what its answers take. */
@Timeout(60)
class NodeLogClientTest {
  private val listening = ServerSocket(0, 10, InetAddress.getLoopbackAddress())
  private val requests = CopyOnWriteArrayList<List<String>>()
  private val sentBytes = AtomicLong()
  private val client = NodeLogClient(lazyOf(null), NodeAccess(null))

  /** What it answers with, and of how long a file that is. */
  @Volatile private var body = ByteArray(0)

  @Volatile private var length = 0L

  init {
    thread(isDaemon = true) {
      while (!listening.isClosed) {
        val socket =
          try {
            listening.accept()
          } catch (
            @Suppress("SwallowedException") closed: IOException,
          ) {
            return@thread
          }
        thread(isDaemon = true) { serve(socket) }
      }
    }
  }

  @AfterEach
  fun stop() = listening.close()

  private fun serve(socket: Socket) {
    try {
      socket.use {
        val reader = socket.inputStream.bufferedReader()
        while (answer(reader, socket.outputStream)) continue
      }
    } catch (
      @Suppress("SwallowedException") left: IOException,
    ) {
      // The client is free to.
    }
  }

  /** As NodeManagers do: in chunks if the connection goes on, else to its end. Returns whether it goes on. */
  private fun answer(
    reader: BufferedReader,
    out: OutputStream,
  ): Boolean {
    val head = generateSequence { reader.readLine() }.takeWhile { it.isNotEmpty() }.toList()
    if (head.isEmpty()) return false
    requests += head
    val goesOn = "Connection: close" !in head
    out.write(("HTTP/1.1 200 OK\r\n" + (if (goesOn) "Transfer-Encoding: chunked" else "Connection: close") + "\r\n\r\n").toByteArray())

    fun send(data: ByteArray) {
      if (goesOn) out.write("${data.size.toString(16)}\r\n".toByteArray())
      out.write(data)
      if (goesOn) out.write("\r\n".toByteArray())
      sentBytes.addAndGet(data.size.toLong())
    }
    send("LogLength:$length\nLogContents:\n".toByteArray())
    body.asIterable().chunked(CHUNK_BYTES).forEach { send(it.toByteArray()) }
    if (goesOn) out.write("0\r\n\r\n".toByteArray())
    out.flush()
    return goesOn
  }

  private fun open(lastBytes: Long?) = client.open("127.0.0.1:${listening.localPort}", "container_1", "stdout", lastBytes)

  @Test
  fun aLongAnswerThatIsEndedEarlyIsNotTakenFirst() {
    body = ByteArray(8 * 1024 * 1024)
    length = body.size.toLong()
    val content = open(null)
    checkNotNull(content.next(MAX_CHUNK_BYTES))
    // Until as much lies in the sockets as fits in.
    var before = -1L
    while (before != sentBytes.get()) {
      before = sentBytes.get()
      Thread.sleep(200)
    }
    val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean
    val self = Thread.currentThread().id
    val allocated = threads.getThreadAllocatedBytes(self)
    content.close()
    val taken = threads.getThreadAllocatedBytes(self) - allocated
    assertTrue(taken < MAX_CHUNK_BYTES, "$taken bytes were taken to end an answer of which $before bytes had come")
  }

  @Test
  fun aConnectionIsKeptForShortAnswersOnly() {
    body = ByteArray(1_000)
    length = 1_000_000
    for (lastBytes in listOf(1_000L, 1_000L)) {
      val content = open(lastBytes)
      assertEquals(length - lastBytes, content.startBytes)
      assertEquals(1_000, content.next(MAX_CHUNK_BYTES)?.size)
      assertNull(content.next(MAX_CHUNK_BYTES))
      content.close()
    }
    body = ByteArray(1_000_000)
    open(1_000_000).close()
    assertEquals(listOf(false, false, true), requests.map { "Connection: close" in it })
  }

  @Test
  fun whatCameBeforeACutIsNotLost() {
    body = ByteArray(10_000) { it.toByte() }
    length = 1_000_000
    val content = open(null)
    assertArrayEquals(body, content.next(MAX_CHUNK_BYTES))
    val cut = assertThrows<IOException> { content.next(MAX_CHUNK_BYTES) }
    assertEquals("the node ended its answer 990000 bytes early", cut.message)
    content.close()
  }

  private companion object {
    const val CHUNK_BYTES = 32 * 1024
  }
}

package knit.am.log

import com.sun.net.httpserver.HttpExchange
import com.sun.net.httpserver.HttpServer
import com.sun.net.httpserver.HttpsConfigurator
import com.sun.net.httpserver.HttpsServer
import java.io.Closeable
import java.io.OutputStream
import java.net.InetAddress
import java.net.InetSocketAddress
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.Executors
import javax.net.ssl.SSLContext

/**
 * A NodeManager's web server as far as logs go, with its header, its trailer, and its habits.
 *
 * @param tls what it proves itself with, where it speaks HTTPS
 */
class FakeNodeServer(
  tls: SSLContext? = null,
) : Closeable {
  private val executor = Executors.newCachedThreadPool { Thread(it).apply { isDaemon = true } }
  private val place = InetSocketAddress(InetAddress.getLoopbackAddress(), 0)
  private val server =
    if (tls == null) HttpServer.create(place, 0) else HttpsServer.create(place, 0).apply { httpsConfigurator = HttpsConfigurator(tls) }
  val files = ConcurrentHashMap<String, ByteArray>()
  val requests = CopyOnWriteArrayList<String>()

  /** Called before each answer, with the file's name. */
  @Volatile
  var beforeAnswer: (String) -> Unit = {}

  /** Breaks the connection after so many bytes of content, as often as there are numbers. */
  val cuts = CopyOnWriteArrayList<Int>()

  @Volatile
  var missing: String? = null

  /** Who has what this node has no more, as it says: the address of another server. */
  @Volatile
  var successor: String? = null

  /** Whether the container runs, as the node says after each file. */
  @Volatile
  var isRunning = true

  /** As of Hadoop 2, which leaves out the header where it sends nothing of a log. */
  @Volatile
  var isOfHadoop2 = false

  /** Who may ask, where not everybody may: what a request is refused with (401 and these challenges), or null. */
  @Volatile
  var gate: (HttpExchange) -> List<String>? = { null }

  val address: String
    get() = "127.0.0.1:${server.address.port}"

  init {
    server.executor = executor
    server.createContext("/ws/v1/node/containers") { exchange ->
      try {
        answer(exchange)
      } finally {
        exchange.close()
      }
    }
    server.start()
  }

  private fun answer(exchange: HttpExchange) {
    requests += exchange.requestURI.toString()
    gate(exchange)?.let { challenges ->
      challenges.forEach { exchange.responseHeaders.add("WWW-Authenticate", it) }
      exchange.sendResponseHeaders(401, -1)
      return
    }
    successor?.let {
      exchange.responseHeaders.add("Location", "http://$it${exchange.requestURI}")
      exchange.sendResponseHeaders(307, -1)
      return
    }
    val parts = exchange.requestURI.path.split('/')
    if (parts.last() == "logs") {
      list(exchange)
      return
    }
    val name = parts.last()
    beforeAnswer(name)
    val data = files[name]
    if (data == null || missing != null) {
      val said = (missing ?: "Cannot find this log on the local disk.").toByteArray()
      exchange.sendResponseHeaders(404, said.size.toLong())
      exchange.responseBody.write(said)
      return
    }
    send(exchange, name, data)
  }

  private fun send(
    exchange: HttpExchange,
    name: String,
    data: ByteArray,
  ) {
    val size =
      exchange.requestURI.query
        ?.split('&')
        ?.firstOrNull { it.startsWith("size=") }
        ?.removePrefix("size=")
        ?.toLong() ?: Long.MAX_VALUE
    val count = minOf(if (size < 0) -size else size, data.size.toLong()).toInt()
    val start = if (size < 0) data.size - count else 0
    exchange.sendResponseHeaders(200, 0)
    val out = exchange.responseBody
    if (count > 0 || !isOfHadoop2) writeHeader(out, name, data.size)
    val cut = if (cuts.isEmpty()) null else cuts.removeAt(0)
    if (cut != null && cut < count) {
      out.write(data, start, cut)
      out.flush()
      return
    }
    out.write(data, start, count)
    val running = "This log file belongs to a running container (container_1) and so may not be complete."
    out.write("End of LogType:$name.${if (isRunning) running else ""}\n****\n\n".toByteArray())
    out.close()
  }

  private fun writeHeader(
    out: OutputStream,
    name: String,
    length: Int,
  ) {
    out.write(
      "Container: container_1 on node1_8041\nLogAggregationType: LOCAL\n=====\nLogType:$name\n".toByteArray() +
        "LogLastModifiedTime:Tue Nov 24 07:00:00 +0000 2026\nLogLength:$length\nLogContents:\n".toByteArray(),
    )
  }

  private fun list(exchange: HttpExchange) {
    val entries =
      files.entries.joinToString("") { (name, data) ->
        "<containerLogInfo><fileName>$name</fileName><fileSize>${data.size}</fileSize></containerLogInfo>"
      }
    val xml =
      "<?xml version=\"1.0\"?><containerLogsInfoes>" +
        "<containerLogsInfo>$entries<logAggregationType>LOCAL</logAggregationType></containerLogsInfo>" +
        "<containerLogsInfo><containerLogInfo><fileName>old</fileName><fileSize>1</fileSize></containerLogInfo>" +
        "<logAggregationType>AGGREGATED</logAggregationType></containerLogsInfo></containerLogsInfoes>"
    exchange.sendResponseHeaders(200, 0)
    exchange.responseBody.write(xml.toByteArray())
  }

  override fun close() {
    server.stop(0)
    executor.shutdownNow()
  }
}

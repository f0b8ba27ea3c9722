package knit.am.log

import org.w3c.dom.Element
import java.io.BufferedInputStream
import java.io.Closeable
import java.io.EOFException
import java.io.IOException
import java.io.InputStream
import java.net.HttpURLConnection
import java.net.Proxy
import java.net.URL
import java.net.URLEncoder
import javax.net.ssl.HostnameVerifier
import javax.net.ssl.HttpsURLConnection
import javax.net.ssl.SSLSocketFactory
import javax.xml.XMLConstants
import javax.xml.parsers.DocumentBuilderFactory

/** How to reach NodeManagers' web servers where YARN's HTTP policy asks for TLS. */
class NodeTls(
  val socketFactory: SSLSocketFactory,
  val hostnameVerifier: HostnameVerifier,
)

/** The node has no such file, for the reason it gives. */
class LogMissingException(
  /** The node knows nothing of the application, so that nothing more will come. */
  val isForgotten: Boolean,
  message: String,
) : IOException(message)

/**
 * Reads container logs over the NodeManager's REST API. Blocks; any number of callers.
 *
 * On the JDK's own HTTP client of Java 8: it keeps connections alive, streams bodies of any size, and adds nothing to the
 * jar. Proxies are left out, for nodes are neighbours.
 *
 * @param tls holds null for plain HTTP; lazy, for a key store takes a while to load
 * @param userName who asks, where the nodes' web servers use Hadoop's simple authentication; null to say nothing
 */
class NodeLogClient(
  tls: Lazy<NodeTls?>,
  private val userName: String?,
  private val connectTimeoutMillis: Int = 5_000,
  private val readTimeoutMillis: Int = 30_000,
) {
  private val tls by tls

  /** Returns the names and sizes of a container's log files. */
  fun list(
    nodeHttpAddress: String,
    containerId: String,
  ): List<LogFile> {
    val connection = open(nodeHttpAddress, "containers/$containerId/logs", emptyMap())
    connection.setRequestProperty("Accept", "application/xml")
    return connection.checked().use { parseListing(it) }
  }

  /**
   * Opens the last [lastBytes] bytes of a file, or all of it where that is null or more than there is.
   *
   * The length the file then had comes with it, so that the caller knows where in the file the bytes lie.
   */
  fun open(
    nodeHttpAddress: String,
    containerId: String,
    fileName: String,
    lastBytes: Long?,
  ): LogContent {
    // A positive size would mean the first bytes, and for none Hadoop 2 leaves out the header with the length.
    val query = if (lastBytes == null) emptyMap() else mapOf("size" to (-maxOf(lastBytes, 1)).toString())
    val connection = open(nodeHttpAddress, "containers/$containerId/logs/${encoded(fileName)}", query)
    val stream = connection.checked()
    try {
      val length = readLength(stream)
      val content = minOf(lastBytes ?: length, length)
      return LogContent(stream, connection, length, content)
    } catch (failure: IOException) {
      connection.disconnect()
      throw failure
    }
  }

  private fun open(
    nodeHttpAddress: String,
    path: String,
    query: Map<String, String>,
  ): HttpURLConnection {
    val tls = tls
    val scheme = if (tls == null) "http" else "https"
    val user = if (userName == null) emptyMap() else mapOf("user.name" to userName)
    val parameters = (query + user).entries.joinToString("&", "?") { "${it.key}=${encoded(it.value)}" }.removeSuffix("?")
    val url = URL("$scheme://$nodeHttpAddress/ws/v1/node/$path$parameters")
    val connection = url.openConnection(Proxy.NO_PROXY) as HttpURLConnection
    if (tls != null && connection is HttpsURLConnection) {
      connection.sslSocketFactory = tls.socketFactory
      connection.hostnameVerifier = tls.hostnameVerifier
    }
    connection.connectTimeout = connectTimeoutMillis
    connection.readTimeout = readTimeoutMillis
    // A node that has the log no more may point at a history server, whose answer would not be the file.
    connection.instanceFollowRedirects = false
    connection.useCaches = false
    return connection
  }

  private fun HttpURLConnection.checked(): InputStream {
    val status = responseCode
    if (status == HttpURLConnection.HTTP_OK) return BufferedInputStream(inputStream, BUFFER_BYTES)
    val said = errorStream?.use { it.readNBytesOfText() }.orEmpty()
    throw when (status) {
      HttpURLConnection.HTTP_NOT_FOUND -> LogMissingException("Unknown container" in said, firstSentence(said))
      in REDIRECTS -> LogMissingException(true, "the node refers to another server for it")
      else -> IOException("the node answered HTTP $status${if (said.isEmpty()) "" else ": " + firstSentence(said)}")
    }
  }

  private fun readLength(stream: InputStream): Long {
    var length: Long? = null
    repeat(MAX_HEADER_LINES) { index ->
      val line = stream.readHeaderLine()
      // Hadoop 2 leaves out the header of an empty log.
      if (index == 0 && line.startsWith(END)) return 0
      if (line.startsWith(LENGTH)) length = line.removePrefix(LENGTH).trim().toLongOrNull()
      if (line.startsWith(CONTENTS)) return length ?: throw IOException("the node did not say how long the log is")
    }
    throw IOException("the node sent something that is not a log")
  }

  private fun encoded(text: String) = URLEncoder.encode(text, "UTF-8").replace("+", "%20")

  companion object {
    private const val LENGTH = "LogLength:"
    private const val CONTENTS = "LogContents:"
    private const val END = "End of LogType:"
    private const val MAX_HEADER_LINES = 20
    private const val BUFFER_BYTES = 16 * 1024
    private val REDIRECTS = 300..399
  }
}

/**
 * The bytes of a log file from [startBytes] to [lengthBytes], its length when it was opened.
 *
 * What the node sends after them is not part of the file.
 */
class LogContent internal constructor(
  private val stream: InputStream,
  private val connection: HttpURLConnection,
  val lengthBytes: Long,
  contentBytes: Long,
) : Closeable {
  val startBytes: Long = lengthBytes - contentBytes
  private var remaining = contentBytes

  /** Returns the next bytes, at most [max], or null after the last. Throws where the node cuts the connection before that. */
  fun next(max: Int): ByteArray? {
    if (remaining == 0L) return null
    val buffer = ByteArray(minOf(max.toLong(), remaining).toInt())
    var count = stream.read(buffer)
    if (count < 0) throw EOFException("the node ended its answer $remaining bytes early")
    // As much as is there already: small chunks cost as much as large ones.
    while (count < buffer.size && stream.available() > 0) {
      val more = stream.read(buffer, count, buffer.size - count)
      if (more < 0) break
      count += more
    }
    remaining -= count
    return if (count == buffer.size) buffer else buffer.copyOf(count)
  }

  /** Passes over [count] bytes. */
  fun skip(count: Long) {
    var left = count
    while (left > 0) {
      val skipped = next(minOf(left, MAX_CHUNK_BYTES.toLong()).toInt())?.size ?: throw EOFException("the log ended early")
      left -= skipped
    }
  }

  override fun close() {
    try {
      // A short rest is read, for the connection can then be used again.
      if (remaining == 0L) {
        val rest = ByteArray(MAX_REST_BYTES)
        var length = 0
        while (length < rest.size) {
          val count = stream.read(rest, length, rest.size - length)
          if (count < 0) {
            stream.close()
            return
          }
          length += count
        }
      }
    } catch (
      @Suppress("SwallowedException") ignored: IOException,
    ) {
      // Every byte of the file has been read: what goes wrong after that is of no interest.
    }
    connection.disconnect()
  }

  private companion object {
    const val MAX_REST_BYTES = 4 * 1024
  }
}

private const val MAX_ERROR_BYTES = 4 * 1024
private const val MAX_HEADER_LINE_BYTES = 4 * 1024
private const val MAX_SENTENCE_LENGTH = 200

private fun InputStream.readNBytesOfText(): String {
  val buffer = ByteArray(MAX_ERROR_BYTES)
  var length = 0
  while (length < buffer.size) {
    val count = read(buffer, length, buffer.size - length)
    if (count < 0) break
    length += count
  }
  return String(buffer, 0, length, Charsets.UTF_8)
}

private fun firstSentence(text: String): String =
  text
    .replace(Regex("<[^>]*>"), " ")
    .lineSequence()
    .map { it.trim().removePrefix("java.lang.Throwable: ") }
    .firstOrNull { it.isNotEmpty() }
    .orEmpty()
    .take(MAX_SENTENCE_LENGTH)

private fun InputStream.readHeaderLine(): String {
  val line = java.io.ByteArrayOutputStream()
  while (true) {
    val byte = read()
    if (byte < 0) throw EOFException("the node ended its answer early")
    if (byte == '\n'.code) return line.toString("UTF-8")
    line.write(byte)
    if (line.size() > MAX_HEADER_LINE_BYTES) throw IOException("the node sent something that is not a log")
  }
}

/** Reads the node's list of files; what it says of copies outside the node is left out. */
private fun parseListing(stream: InputStream): List<LogFile> {
  val factory = DocumentBuilderFactory.newInstance()
  factory.setFeature(XMLConstants.FEATURE_SECURE_PROCESSING, true)
  factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true)
  val root = factory.newDocumentBuilder().parse(stream).documentElement
  return root
    .all("containerLogsInfo")
    .filterNot { info -> info.text("logAggregationType").equals("AGGREGATED", ignoreCase = true) }
    .flatMap { it.all("containerLogInfo") }
    .mapNotNull { file -> file.text("fileName")?.let { LogFile(it, file.text("fileSize")?.toLongOrNull() ?: 0) } }
    .sortedBy { it.name }
}

private fun Element.all(name: String): List<Element> {
  val found = getElementsByTagName(name)
  return (0 until found.length).map { found.item(it) as Element }
}

private fun Element.text(name: String): String? = all(name).firstOrNull()?.textContent?.trim()

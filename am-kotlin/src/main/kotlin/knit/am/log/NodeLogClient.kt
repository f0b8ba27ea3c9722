package knit.am.log

import org.xml.sax.Attributes
import org.xml.sax.SAXException
import org.xml.sax.helpers.DefaultHandler
import java.io.Closeable
import java.io.EOFException
import java.io.FilterInputStream
import java.io.IOException
import java.io.InputStream
import java.io.InterruptedIOException
import java.net.HttpURLConnection
import java.net.Proxy
import java.net.URL
import java.net.URLEncoder
import java.util.concurrent.atomic.AtomicReference
import javax.net.ssl.HostnameVerifier
import javax.net.ssl.HttpsURLConnection
import javax.net.ssl.SSLSocketFactory
import javax.xml.XMLConstants
import javax.xml.parsers.SAXParserFactory

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
 * @param access what nodes are told of who asks
 */
internal class NodeLogClient(
  tls: Lazy<NodeTls?>,
  private val access: NodeAccess,
  private val connectTimeoutMillis: Int = 5_000,
  private val readTimeoutMillis: Int = 20_000,
) : ContainerLogs {
  private val tls by tls

  override fun list(
    nodeHttpAddress: String,
    containerId: String,
    request: NodeRequest,
  ): List<LogFile> {
    val headers = mapOf("Accept" to "application/xml")
    return ask(nodeHttpAddress, "containers/$containerId/logs", emptyMap(), headers, request).inputStream.use { parseListing(it) }
  }

  override fun open(
    nodeHttpAddress: String,
    containerId: String,
    fileName: String,
    lastBytes: Long?,
    request: NodeRequest,
  ): LogContent {
    // A positive size would mean the first bytes, and for none Hadoop 2 leaves out the header with the length.
    val query = if (lastBytes == null) emptyMap() else mapOf("size" to (-maxOf(lastBytes, 1)).toString())
    // To end an answer in chunks early the JDK first takes all that has come of it, megabytes, onto the heap, and copies it once
    // for each chunk. One that ends with its connection has no chunks; only a short one is worth keeping the connection for.
    val headers = if (lastBytes == null || lastBytes > MAX_KEPT_BYTES) mapOf("Connection" to "close") else emptyMap()
    val connection = ask(nodeHttpAddress, "containers/$containerId/logs/${encoded(fileName)}", query, headers, request)
    try {
      val stream = connection.inputStream
      val length = readLength(stream)
      val content = minOf(lastBytes ?: length, length)
      return LogContent(stream, connection::disconnect, length, content)
    } catch (failure: IOException) {
      connection.disconnect()
      throw failure
    }
  }

  /** Asks until the node has answered with what was asked for, and tells it more of who asks each time that it wants to know. */
  private fun ask(
    nodeHttpAddress: String,
    path: String,
    query: Map<String, String>,
    headers: Map<String, String>,
    request: NodeRequest,
  ): HttpURLConnection {
    var proof = access.first(nodeHttpAddress)
    repeat(NodeAccess.MAX_TRIES) {
      proof.use { shown ->
        val user = shown.userName?.let { mapOf("user.name" to it) }.orEmpty()
        val connection = open(nodeHttpAddress, path, query + user, request)
        (headers + shown.headers).forEach { (name, value) -> connection.setRequestProperty(name, value) }
        val status = connection.responseCode
        if (status == HttpURLConnection.HTTP_OK) {
          accept(nodeHttpAddress, shown, connection)
          return connection
        }
        val said = connection.errorStream?.use { it.readNBytesOfText() }.orEmpty()
        val challenges = if (status in REFUSALS) connection.fields("WWW-Authenticate") else emptyList()
        proof = access.next(nodeHttpAddress, shown, challenges) ?: throw failure(status, said)
      }
    }
    throw IOException("the node wants to know ever more of who asks")
  }

  private fun accept(
    nodeHttpAddress: String,
    proof: NodeAccess.Proof,
    connection: HttpURLConnection,
  ) {
    try {
      access.accepted(nodeHttpAddress, proof, connection)
    } catch (unproven: IOException) {
      // Nobody reads what such a server has sent.
      connection.disconnect()
      throw unproven
    }
  }

  private fun open(
    nodeHttpAddress: String,
    path: String,
    query: Map<String, String>,
    request: NodeRequest,
  ): HttpURLConnection {
    val tls = tls
    val scheme = if (tls == null) "http" else "https"
    val parameters = query.entries.joinToString("&", "?") { "${it.key}=${encoded(it.value)}" }.removeSuffix("?")
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
    request.begin(connection)
    return connection
  }

  private fun failure(
    status: Int,
    said: String,
  ): IOException =
    when (status) {
      HttpURLConnection.HTTP_NOT_FOUND -> LogMissingException("Unknown container" in said, firstSentence(said))
      in REDIRECTS -> LogMissingException(true, "the node refers to another server for it")
      else -> IOException("the node answered HTTP $status${if (said.isEmpty()) "" else ": " + firstSentence(said)}")
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

    /** As long as an answer may be for its connection to be used again. */
    private const val MAX_KEPT_BYTES = 64L * 1024
    private val REDIRECTS = 300..399

    /** Hadoop has said either where it wanted to know more of who asks. */
    private val REFUSALS = setOf(HttpURLConnection.HTTP_UNAUTHORIZED, HttpURLConnection.HTTP_FORBIDDEN)
  }
}

/** One question to a node, which can be given up from another thread: a read from a socket cannot be interrupted. */
class NodeRequest {
  private val connection = AtomicReference<HttpURLConnection?>()

  @Volatile
  private var isAborted = false

  internal fun begin(begun: HttpURLConnection) {
    connection.set(begun)
    if (isAborted) throw InterruptedIOException("nobody waits for the answer any more")
  }

  /** Ends the call, wherever it is. It throws an [IOException]. */
  fun abort() {
    isAborted = true
    connection.get()?.disconnect()
  }
}

/**
 * The bytes of a log file from [startBytes] to [lengthBytes], its length when it was opened.
 *
 * What the node sends after them is not part of the file.
 *
 * @param cut ends the call by which they come
 * @param hasTrailer whether something of the node's own comes after them
 */
class LogContent internal constructor(
  private val stream: InputStream,
  private val cut: () -> Unit,
  val lengthBytes: Long,
  contentBytes: Long,
  private val hasTrailer: Boolean = true,
) : Closeable {
  val startBytes: Long = lengthBytes - contentBytes
  private var remaining = contentBytes

  /** How the connection broke, where some bytes had come before. */
  private var failure: IOException? = null

  /** Whether the container runs, in the node's own words; known once all bytes are read and this is closed. */
  var isRunning = false
    private set

  /**
   * Returns the next [max] bytes, or as many as there are; null after the last. Throws where the node has cut the connection.
   *
   * Never asks how many are there already, which of an answer in chunks takes as much as to end it early. The node has what it
   * sends, so it is not waited for in vain.
   */
  fun next(max: Int): ByteArray? {
    if (remaining == 0L) return null
    failure?.let { throw it }
    val buffer = ByteArray(minOf(max.toLong(), remaining).toInt())
    val count = fill(buffer)
    remaining -= count
    return if (count == buffer.size) buffer else buffer.copyOf(count)
  }

  /** How many bytes came: fewer than asked for, but some, where the node has cut the connection. */
  private fun fill(buffer: ByteArray): Int {
    var count = 0
    try {
      while (count < buffer.size) {
        val more = stream.read(buffer, count, buffer.size - count)
        if (more < 0) throw EOFException("the node ended its answer ${remaining - count} bytes early")
        count += more
      }
    } catch (broken: IOException) {
      // What came is sent all the same: otherwise a node that always cuts early would never be read to the end.
      if (count == 0) throw broken
      failure = broken
    }
    return count
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
      if (remaining == 0L && hasTrailer) {
        val rest = ByteArray(MAX_REST_BYTES)
        var length = 0
        while (length < rest.size) {
          val count = stream.read(rest, length, rest.size - length)
          if (count < 0) {
            isRunning = RUNNING in String(rest, 0, length, Charsets.UTF_8)
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
    cut()
  }

  private companion object {
    const val MAX_REST_BYTES = 4 * 1024

    /** Hadoop 2 and 3.0 say nothing of the kind. */
    const val RUNNING = "belongs to a running container"
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
  val factory = SAXParserFactory.newInstance()
  factory.setFeature(XMLConstants.FEATURE_SECURE_PROCESSING, true)
  factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true)
  val listing = ListingHandler()
  try {
    factory.newSAXParser().parse(LimitedStream(stream), listing)
  } catch (malformed: SAXException) {
    throw IOException("the node's list of files cannot be read: ${malformed.message}")
  }
  return listing.files.sortedBy { it.name }
}

private class ListingHandler : DefaultHandler() {
  val files = ArrayList<LogFile>()

  /** Those of the group that is being read: what kind of group it is comes after them. */
  private val group = ArrayList<LogFile>()
  private val text = StringBuilder()
  private var name: String? = null
  private var size = 0L
  private var isAggregated = false

  override fun startElement(
    uri: String?,
    localName: String?,
    qualifiedName: String,
    attributes: Attributes?,
  ) {
    text.setLength(0)
  }

  override fun characters(
    characters: CharArray,
    start: Int,
    length: Int,
  ) {
    text.append(characters, start, length)
  }

  override fun endElement(
    uri: String?,
    localName: String?,
    qualifiedName: String,
  ) {
    val said = text.toString().trim()
    text.setLength(0)
    when (qualifiedName) {
      "fileName" -> {
        name = said
      }

      "fileSize" -> {
        size = said.toLongOrNull() ?: 0
      }

      "logAggregationType" -> {
        isAggregated = said.equals("AGGREGATED", ignoreCase = true)
      }

      "containerLogInfo" -> {
        name?.let { group += LogFile(it, size) }
        name = null
        size = 0
      }

      "containerLogsInfo" -> {
        if (!isAggregated) files += group
        group.clear()
        isAggregated = false
      }
    }
  }
}

/** Refuses more than a few ten thousand files' worth: a container may have as many as it likes. */
private class LimitedStream(
  stream: InputStream,
) : FilterInputStream(stream) {
  private var left = MAX_LISTING_BYTES

  override fun read(): Int = super.read().also { if (it >= 0) count(1) }

  override fun read(
    buffer: ByteArray,
    offset: Int,
    length: Int,
  ): Int = super.read(buffer, offset, length).also { if (it > 0) count(it) }

  private fun count(bytes: Int) {
    left -= bytes
    if (left < 0) throw IOException("the container has more log files than can be listed")
  }

  private companion object {
    const val MAX_LISTING_BYTES = 8 * 1024 * 1024
  }
}

package knit.am.grpc

import java.io.ByteArrayOutputStream
import java.io.Closeable
import java.io.DataOutputStream
import javax.net.ssl.SSLContext
import javax.net.ssl.SSLSocket

/** Speaks HTTP/2 by hand, to do what no client library would. */
internal class RawHttp2Client(
  tls: SSLContext,
  port: Int,
) : Closeable {
  private val socket =
    (tls.socketFactory.createSocket("localhost", port) as SSLSocket).apply {
      sslParameters = sslParameters.apply { applicationProtocols = arrayOf("h2") }
      startHandshake()
    }
  private val out = DataOutputStream(socket.outputStream)

  /** Calls [method], as often as [times], with a [window] for each call, by default the largest there is, and never reads. */
  fun callWithoutReading(
    method: String,
    request: ByteArray,
    times: Int = 1,
    window: Int = Int.MAX_VALUE,
  ) {
    out.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".toByteArray())
    frame(SETTINGS, 0, 0, bytes { writeShort(INITIAL_WINDOW_SIZE).also { writeInt(window) } })
    frame(WINDOW_UPDATE, 0, 0, bytes { writeInt(Int.MAX_VALUE - DEFAULT_WINDOW) })
    val headers =
      listOf(
        ":method" to "POST",
        ":scheme" to "https",
        ":path" to "/$method",
        ":authority" to "knit-application-master",
        "content-type" to "application/grpc",
        "te" to "trailers",
      )
    val block =
      bytes {
        headers.forEach { (name, value) ->
          writeByte(LITERAL)
          writeByte(name.length)
          writeBytes(name)
          writeByte(value.length)
          writeBytes(value)
        }
      }
    repeat(times) {
      val stream = 2 * it + 1
      frame(HEADERS, END_HEADERS, stream, block)
      frame(DATA, END_STREAM, stream, bytes { writeByte(0).also { writeInt(request.size) }.also { write(request) } })
    }
    out.flush()
  }

  private fun frame(
    type: Int,
    flags: Int,
    stream: Int,
    payload: ByteArray,
  ) {
    out.writeByte(payload.size shr 16)
    out.writeShort(payload.size)
    out.writeByte(type)
    out.writeByte(flags)
    out.writeInt(stream)
    out.write(payload)
  }

  private fun bytes(write: DataOutputStream.() -> Unit) = ByteArrayOutputStream().also { DataOutputStream(it).write() }.toByteArray()

  override fun close() = socket.close()

  private companion object {
    const val DATA = 0
    const val HEADERS = 1
    const val SETTINGS = 4
    const val WINDOW_UPDATE = 8
    const val END_STREAM = 1
    const val END_HEADERS = 4
    const val INITIAL_WINDOW_SIZE = 4
    const val DEFAULT_WINDOW = 65_535

    /** HPACK: a literal without indexing, its name literal too. */
    const val LITERAL = 0
  }
}

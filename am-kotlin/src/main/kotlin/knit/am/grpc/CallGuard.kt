package knit.am.grpc

import com.google.protobuf.CodedInputStream
import com.google.protobuf.InvalidProtocolBufferException
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener
import io.grpc.Grpc
import io.grpc.Metadata
import io.grpc.MethodDescriptor
import io.grpc.MethodDescriptor.MethodType
import io.grpc.ServerCall
import io.grpc.ServerCallHandler
import io.grpc.ServerInterceptor
import io.grpc.ServerInterceptors
import io.grpc.ServerServiceDefinition
import io.grpc.Status
import knit.am.core.AmException
import knit.am.core.Reason
import org.slf4j.LoggerFactory
import java.io.InputStream
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.atomic.AtomicLong

/**
 * Stands between gRPC and our services where either would break the other.
 *
 * A request that is not the message it should be is refused with INVALID_ARGUMENT; gRPC would answer UNKNOWN and write a stack
 * trace for each. They are counted, and told of once a minute. And a call that is over is closed no more, as gRPC's coroutines
 * do when it is cancelled: with a message that was too large that would end the connection, and every other call on it.
 * Answers that a client does not read are counted ([UnreadAnswers]), and the next is refused where they are too many.
 *
 * @param warn is told, in a sentence, how many there were
 */
internal class CallGuard(
  private val nowMillis: () -> Long,
  private val warn: (String) -> Unit = LoggerFactory.getLogger(CallGuard::class.java)::warn,
) : ServerInterceptor {
  private val unread = UnreadAnswers()
  private val untold = AtomicLong()
  private val nextMillis = AtomicLong(Long.MIN_VALUE)

  /** [service] with its requests read where this can see it. */
  fun around(service: ServerServiceDefinition): ServerServiceDefinition =
    ServerInterceptors.intercept(ServerInterceptors.useMarshalledMessages(service, AsItIs), this)

  /**
   * Hands messages over as they are: what gRPC brings for this hides from its framer that a message can write itself, and
   * every answer is then copied three times more.
   */
  private object AsItIs : MethodDescriptor.Marshaller<InputStream> {
    override fun stream(value: InputStream): InputStream = value

    override fun parse(stream: InputStream): InputStream = stream
  }

  override fun <Q, A> interceptCall(
    call: ServerCall<Q, A>,
    headers: Metadata,
    next: ServerCallHandler<Q, A>,
  ): ServerCall.Listener<Q> {
    val isRefused = AtomicBoolean()
    val isOver = AtomicBoolean()
    val connection: Any = call.attributes[Grpc.TRANSPORT_ATTR_REMOTE_ADDR] ?: this
    val unreadBytes = AtomicInteger()

    fun refuse(why: AmException) {
      if (isOver.compareAndSet(false, true)) call.close(why.toStatus(), why.toTrailers())
    }
    val closedOnce =
      object : SimpleForwardingServerCall<Q, A>(call) {
        override fun sendMessage(message: A) {
          val size = if (methodDescriptor.type == MethodType.UNARY && message is InputStream) message.available() else 0
          if (size == 0 || unread.add(connection, size)) {
            unreadBytes.addAndGet(size)
            super.sendMessage(message)
          } else {
            refuse(
              AmException.ResourceExhausted(
                "This connection has more answers that nobody reads than it may. Read them first.",
                Reason.ANSWERS_UNREAD,
              ),
            )
          }
        }

        override fun close(
          status: Status,
          trailers: Metadata,
        ) {
          if (isOver.compareAndSet(false, true)) super.close(status, trailers)
        }
      }
    if (call.methodDescriptor.type == MethodType.SERVER_STREAMING) call.setOnReadyThreshold(READY_BYTES)
    return object : SimpleForwardingServerCallListener<Q>(next.startCall(closedOnce, headers)) {
      override fun onMessage(message: Q) {
        if (isRefused.get()) return
        try {
          super.onMessage(looked(message))
        } catch (tooMany: AmException) {
          isRefused.set(true)
          refuse(tooMany)
          super.onCancel()
        } catch (unreadable: RuntimeException) {
          if (generateSequence<Throwable>(unreadable) { it.cause }.none { it is InvalidProtocolBufferException }) throw unreadable
          isRefused.set(true)
          count()
          refuse(AmException.InvalidArgument("The request is not a ${call.methodDescriptor.fullMethodName} request."))
          // The service waits for a request that will not come.
          super.onCancel()
        }
      }

      override fun onHalfClose() = unlessRefused { super.onHalfClose() }

      override fun onReady() = unlessRefused { super.onReady() }

      override fun onCancel() =
        unlessRefused {
          isOver.set(true)
          taken()
          super.onCancel()
        }

      override fun onComplete() =
        unlessRefused {
          taken()
          super.onComplete()
        }

      private fun taken() {
        val size = unreadBytes.getAndSet(0)
        if (size > 0) unread.remove(connection, size)
      }

      private fun unlessRefused(tell: () -> Unit) {
        if (!isRefused.get()) tell()
      }
    }
  }

  /** [message] as it is, once it is known to be no more than it weighs: a field of two bytes is an object of forty once it is read. */
  @Suppress("UNCHECKED_CAST")
  private fun <Q> looked(message: Q): Q {
    if (message !is InputStream || message.available() <= UNCOUNTED_BYTES) return message
    val bytes = message.readBytes()
    if (hasTooManyFields(bytes)) throw AmException.InvalidArgument("The request has more than $MAX_FIELDS fields. Use several requests.")
    return bytes.inputStream() as Q
  }

  private fun hasTooManyFields(message: ByteArray): Boolean {
    val input = CodedInputStream.newInstance(message)
    var fields = 0
    try {
      while (fields <= MAX_FIELDS && input.readTag().let { it != 0 && input.skipField(it) }) fields++
    } catch (_: InvalidProtocolBufferException) {
      // Whoever reads it next will say so.
    }
    return fields > MAX_FIELDS
  }

  private fun count() {
    untold.incrementAndGet()
    val now = nowMillis()
    val next = nextMillis.get()
    if (now >= next && nextMillis.compareAndSet(next, now + SILENCE_MILLIS)) {
      warn("Refused ${untold.getAndSet(0)} requests since the last line of this kind: they are not the messages they should be")
    }
  }

  internal companion object {
    /** Six times as many as the largest list that any request may have. */
    const val MAX_FIELDS = 65_536

    /** What is not larger has fewer fields than that, whatever it is. */
    private const val UNCOUNTED_BYTES = 64 * 1024
    private const val SILENCE_MILLIS = 60_000L

    /**
     * A stream goes on while less than this is on its way to the socket: so there is a message to encrypt while the next one
     * is made. gRPC's own 32 KiB would have the two threads wait for each other after each.
     */
    private const val READY_BYTES = 96 * 1024
  }
}

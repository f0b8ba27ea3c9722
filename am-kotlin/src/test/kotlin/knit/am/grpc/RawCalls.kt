package knit.am.grpc

import com.google.rpc.ErrorInfo
import io.grpc.CallOptions
import io.grpc.Channel
import io.grpc.ClientCall
import io.grpc.Metadata
import io.grpc.MethodDescriptor
import io.grpc.Status
import java.io.InputStream
import java.util.concurrent.CompletableFuture
import com.google.rpc.Status as StatusMessage

/** Messages as the bytes that they are, so that what no client of ours would send can be sent. */
internal object RawBytes : MethodDescriptor.Marshaller<ByteArray> {
  override fun stream(value: ByteArray): InputStream = value.inputStream()

  override fun parse(stream: InputStream): ByteArray = stream.readBytes()
}

/** How a call ended: OK also where its first message came, and nothing more was taken. */
internal class CallOutcome(
  val status: Status,
  trailers: Metadata = Metadata(),
) {
  /** What it says to programs; null where it says nothing. */
  val error: ErrorInfo? =
    trailers[STATUS_DETAILS]?.let {
      StatusMessage
        .parseFrom(it)
        .detailsList
        .single()
        .unpack(ErrorInfo::class.java)
    }

  override fun toString() = "$status ${error?.reason}"
}

/** Calls [method] with whatever bytes. */
internal fun Channel.callWith(
  method: MethodDescriptor<*, *>,
  bytes: ByteArray,
): CompletableFuture<CallOutcome> {
  val call = newCall(method.toBuilder(RawBytes, RawBytes).build(), CallOptions.DEFAULT)
  val outcome = CompletableFuture<CallOutcome>()
  call.start(
    object : ClientCall.Listener<ByteArray>() {
      override fun onMessage(message: ByteArray) {
        outcome.complete(CallOutcome(Status.OK))
        call.cancel("enough", null)
      }

      override fun onClose(
        status: Status,
        trailers: Metadata,
      ) {
        outcome.complete(CallOutcome(status, trailers))
      }
    },
    Metadata(),
  )
  call.request(1)
  call.sendMessage(bytes)
  call.halfClose()
  return outcome
}

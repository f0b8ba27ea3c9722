package knit.am.grpc

import com.google.protobuf.Any
import com.google.rpc.ErrorInfo
import io.grpc.Metadata
import io.grpc.Status
import knit.am.core.AmException
import com.google.rpc.Status as StatusMessage

/** What a refusal says to programs: a `google.rpc.Status` with one `google.rpc.ErrorInfo`, as gRPC's clients read it. */
internal val STATUS_DETAILS: Metadata.Key<ByteArray> = Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER)

internal const val ERROR_DOMAIN = "knit"

/**
 * Clients take 8 KiB of what comes beside messages. The sentence is there twice: as text, in which a byte may take three, and in
 * the details, which take a third more than they have.
 */
internal const val MAX_SENTENCE_BYTES = 1_024

/** Names and values together. */
internal const val MAX_FACTS_BYTES = 1_024

/** Sealed errors, so an error without a status does not compile. */
internal fun AmException.toStatus(): Status =
  when (this) {
    is AmException.NotFound -> Status.NOT_FOUND
    is AmException.AlreadyExists -> Status.ALREADY_EXISTS
    is AmException.InvalidArgument -> Status.INVALID_ARGUMENT
    is AmException.FailedPrecondition -> Status.FAILED_PRECONDITION
    is AmException.PermissionDenied -> Status.PERMISSION_DENIED
    is AmException.Unauthenticated -> Status.UNAUTHENTICATED
    is AmException.ResourceExhausted -> Status.RESOURCE_EXHAUSTED
    is AmException.OutOfRange -> Status.OUT_OF_RANGE
    is AmException.Unavailable -> Status.UNAVAILABLE
  }.withDescription(sentenceWithin(MAX_SENTENCE_BYTES, message.orEmpty())).withCause(this)

/** What goes beside [toStatus]. */
internal fun AmException.toTrailers(): Metadata = Metadata().also { it.put(STATUS_DETAILS, details(toStatus(), reason.name, facts)) }

internal fun details(
  status: Status,
  reason: String,
  facts: Map<String, String> = emptyMap(),
): ByteArray {
  val info = ErrorInfo.newBuilder().setDomain(ERROR_DOMAIN).setReason(reason)
  var left = MAX_FACTS_BYTES
  for ((name, value) in facts) {
    left -= name.toByteArray().size + value.toByteArray().size
    // A part of a fact is none.
    if (left < 0) break
    info.putMetadata(name, value)
  }
  return StatusMessage
    .newBuilder()
    .setCode(status.code.value())
    .setMessage(status.description.orEmpty())
    .addDetails(Any.pack(info.build()))
    .build()
    .toByteArray()
}

/** [sentence] in at most [maxBytes] bytes of UTF-8, without its middle where it is longer: what to do next stands at its end. */
private fun sentenceWithin(
  maxBytes: Int,
  sentence: String,
): String {
  if (sentence.length <= maxBytes && sentence.toByteArray().size <= maxBytes) return sentence
  val part = (maxBytes - ELLIPSIS.toByteArray().size) / 2
  return sentence.take(part).startWithin(part) + ELLIPSIS +
    sentence
      .takeLast(part)
      .reversed()
      .startWithin(part)
      .reversed()
}

/** As many characters as [maxBytes] have room for; both halves of one that is two are there, or neither. */
private fun String.startWithin(maxBytes: Int): String {
  var bytes = 0
  var position = 0
  while (position < length) {
    val isPair = this[position].isSurrogate() && position + 1 < length && this[position + 1].isSurrogate()
    val end = if (isPair) position + 2 else position + 1
    bytes += substring(position, end).toByteArray().size
    if (bytes > maxBytes) break
    position = end
  }
  return substring(0, position)
}

private const val ELLIPSIS = " … "

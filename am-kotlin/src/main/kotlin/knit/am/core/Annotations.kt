package knit.am.core

import knit.am.core.kv.Bytes

/** Of all annotations, names and values together: they are notes, and the submission carries the first of them through YARN. */
internal const val MAX_ANNOTATION_BYTES = 64L * 1024

/** A client changes annotations; those it does not name stay. The answer is the number of the turn that has done it. */
data class Annotate(
  val set: Map<String, Bytes>,
  val remove: Set<String>,
  /** Empty: never deduplicated, which does harm only where somebody else has changed the same since. */
  val requestId: String = "",
  val historyId: String = "",
) : Command<Long> {
  /** Without the values of [set], which may be secret. */
  override fun toString(): String = "Annotate(${set.keys}, remove=$remove, '$requestId')"
}

/** Sets and removes annotations, all or none; a request that is repeated does neither. */
internal fun Turn.annotate(request: Annotate): () -> Long {
  application.refuseAnotherHistory(request.historyId)
  application.remembered<Annotated>(request.requestId)?.let {
    val sequence = application.sequenceOf(request.requestId)
    return { sequence }
  }
  val present = application.annotations
  request.refuseIfMalformed()
  refuseIfTooMuch(present + request.set - request.remove)
  for ((name, value) in request.set) if (present[name] != value) put(AnnotationChanged(name, value))
  for (name in request.remove) if (name in present) put(AnnotationChanged(name, null))
  remember(request.requestId, Annotated)
  return { application.sequence }
}

private fun Annotate.refuseIfMalformed() {
  val both = set.keys.firstOrNull { it in remove }
  val problem =
    when {
      "" in set -> "has an empty name. Give each a name"
      both != null -> "'${both.shown}' is to be both set and removed. Say one of them"
      else -> return
    }
  throw AmException.InvalidArgument("An annotation $problem.")
}

private fun refuseIfTooMuch(wanted: Map<String, Bytes>) {
  val bytes = wanted.annotationBytes
  if (bytes <= MAX_ANNOTATION_BYTES) return
  throw AmException.ResourceExhausted(
    "The annotations would have $bytes bytes, names and values together, of at most $MAX_ANNOTATION_BYTES. " +
      "Remove some, or put the data on the cluster's file system.",
    Reason.ANNOTATIONS_TOO_LARGE,
    mapOf("bytes" to "$bytes", "max_bytes" to "$MAX_ANNOTATION_BYTES"),
  )
}

/** Why a submission cannot have these, as the end of a sentence; null if it can. */
internal fun problemInAnnotations(annotations: Map<String, Bytes>): String? {
  val bytes = annotations.annotationBytes
  return when {
    "" in annotations -> "an annotation has an empty name"
    bytes > MAX_ANNOTATION_BYTES -> "the annotations have $bytes bytes, names and values together, of at most $MAX_ANNOTATION_BYTES"
    else -> null
  }
}

private val Map<String, Bytes>.annotationBytes: Long
  get() = entries.sumOf { (name, value) -> name.utf8Size + value.size }

private const val MAX_SHOWN_CHARACTERS = 64

private val String.shown: String
  get() = if (length <= MAX_SHOWN_CHARACTERS) this else take(MAX_SHOWN_CHARACTERS) + "…"

package knit.am.core

import knit.am.core.kv.Committed
import knit.am.core.kv.KeyLease
import java.time.Duration
import java.time.Instant

/** That a request was carried out which may come again: its client may not have heard the answer. */
data class Answered(
  val requestId: String,
  /** The number of the turn that carried it out. */
  val sequence: Long,
  val time: Instant,
  /** Null: it is kept no more, so that all there is to say is that it was given. */
  val answer: Answer?,
)

/** What a request that may be repeated was answered with. */
sealed interface Answer

/** But for what is the same in all of the containers it added. */
data class ContainersAdded(
  val serviceName: String,
  val firstRank: Int,
  val count: Int,
  val firstOrdinal: Int,
  val revision: Int,
  val variant: Variant,
  val requestTime: Instant,
  val hasBegun: Boolean,
) : Answer {
  /** The containers as they were when they were added. */
  fun containers(): List<Container> = requested(serviceName, firstRank, count, firstOrdinal, revision, variant, requestTime, hasBegun)
}

data class KeysCommitted(
  val committed: Committed,
) : Answer

data class LeaseGranted(
  val lease: KeyLease,
) : Answer

/** Told with the service and the containers as they are when it is told. */
data class ServiceScaled(
  val serviceName: String,
  val added: Refs,
  val stopped: Refs,
) : Answer

/** Told with the services as they are when it is told; so are the two that follow. */
data class ServicesAdded(
  val names: List<String>,
) : Answer

data class ServicesRemoved(
  val names: List<String>,
) : Answer

data class ServiceUpdated(
  val name: String,
) : Answer

/** Told with the number of the turn that has done it. */
data object Annotated : Answer

/** Told with the containers as they are when it is told, as far as they are kept; so is the one that follows. */
data class ContainersStopped(
  val containers: Refs,
) : Answer

data class ContainersRestarted(
  /** What came in their place. */
  val containers: Refs,
) : Answer

/** The oldest is forgotten first. */
internal data class AnswerAge(
  val sequence: Long,
  val requestId: String,
) : Comparable<AnswerAge> {
  override fun compareTo(other: AnswerAge): Int {
    val bySequence = sequence.compareTo(other.sequence)
    return if (bySequence != 0) bySequence else requestId.compareTo(other.requestId)
  }
}

internal val Answered.age: AnswerAge
  get() = AnswerAge(sequence, requestId)

/** About what it holds on the heap that nothing else does. */
internal val Answered.bytes: Long
  get() =
    when (answer) {
      is KeysCommitted -> answer.committed.results.sumOf { result -> result.keyValues.sumOf { it.bytes } }
      is ServiceScaled -> answer.added.bytes + answer.stopped.bytes
      is ContainersStopped -> answer.containers.bytes
      is ContainersRestarted -> answer.containers.bytes
      else -> 0
    }

/** How long an answer is kept at least, unless there are too many. */
internal val ANSWERS_LAST: Duration = Duration.ofHours(1)

/** An answer that is larger is not kept: to repeat its request is refused as if an hour had passed. */
internal const val MAX_KEPT_ANSWER_BYTES = 256L * 1024

/**
 * The answer to the request with this identifier, where there is one; null: it is a new request.
 *
 * @throws AmException where it was carried out, and all that is known is that.
 */
internal inline fun <reified A : Answer> Application.remembered(requestId: String): A? {
  if (requestId.utf8Size > MAX_REQUEST_ID_BYTES) {
    throw AmException.InvalidArgument("request_id has ${requestId.utf8Size} bytes, of at most $MAX_REQUEST_ID_BYTES.")
  }
  val answered = answers[requestId] ?: return null
  val answer = answered.answer ?: throw tooOld(answered)
  return answer as? A ?: throw AmException.InvalidArgument("request_id '$requestId' was another request's. Give each its own.")
}

/** The number of the turn that carried out a request that is [remembered]. */
internal fun Application.sequenceOf(requestId: String): Long = answers.getValue(requestId).sequence

internal fun tooOld(answered: Answered) =
  AmException.OutOfRange(
    "The request '${answered.requestId}' was carried out at ${answered.time}; its answer is kept no more, and it is not done twice. " +
      "Look how things are now.",
    Reason.REQUEST_TOO_OLD,
    mapOf("request_id" to answered.requestId, "time" to "${answered.time}"),
  )

/** Remembers [answer] for a request that may be repeated; one without an identifier may not. */
internal fun Turn.remember(
  requestId: String,
  answer: Answer,
) {
  if (requestId.isEmpty()) return
  val answered = Answered(requestId, sequence, now, answer)
  put(RequestAnswered(if (answered.bytes > MAX_KEPT_ANSWER_BYTES) answered.copy(answer = null) else answered))
}

/** Keeps to [Retention], after a turn that may have gone beyond. */
internal fun Turn.forgetAnswers() {
  if (changes.none { it is RequestAnswered }) return
  val retention = application.retention
  while (true) {
    val index = application.index
    val oldest = application.answers.getValue((index.answered.first ?: break).requestId)
    val isOver = index.answered.size > retention.answers || index.answerBytes > retention.answerBytes || oldest.time + ANSWERS_LAST < now
    if (!isOver) break
    put(RequestAnswered(oldest.copy(answer = null)))
  }
  val outdated = application.index.outdated
  outdated.take((outdated.size - retention.outdatedAnswers).coerceAtLeast(0)).forEach { put(RequestForgotten(it.requestId)) }
}

package knit.am

import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.ChangeSet
import knit.am.core.Command
import knit.am.core.Container
import knit.am.core.Decision
import knit.am.core.Due
import knit.am.core.Effect
import knit.am.core.Input
import knit.am.core.Reason
import knit.am.core.asChanges
import knit.am.core.decide
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineName
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.selects.onTimeout
import kotlinx.coroutines.selects.select
import kotlinx.coroutines.withContext
import java.time.Clock
import java.time.Duration
import java.time.Instant

/**
 * Starts what the core wants done.
 *
 * Called on the loop, in order: it must hand the work over and return. Blocking or throwing here stops the application.
 */
fun interface EffectHandler {
  fun handle(effect: Effect)
}

/**
 * The one owner of the application's state: only [run] writes it, everyone reads [snapshots] and [changes].
 *
 * Inputs wait in a queue without a bound. Those of the cluster may be neither lost nor made to hold up the thread that
 * reports them, and there are only a handful per container; those of clients are as many as there are calls open.
 * Whoever looks at the application is bounded: what waits is decided together, and published once.
 */
class ApplicationLoop(
  initial: Application,
  private val clock: Clock,
  private val effects: EffectHandler,
  /**
   * Told of each container that has ended, on the loop: as for effects, it must return at once. A watcher of [changes]
   * could fall behind, and what it then lists may lack the ends that are forgotten.
   */
  private val ended: (Container) -> Unit = {},
  /** Told of each turn, likewise. */
  private val noted: (ChangeSet) -> Unit = {},
  /** Told why [run] is about to fail, before it does. The state can be trusted no more; the process should leave. */
  private val fatal: (Throwable) -> Unit,
) {
  /** A message can also be lost between the queue and a [run] that is just being cancelled; its sender must hear of it. */
  private val inbox = Channel<Message>(Channel.UNLIMITED) { it.answer?.completeExceptionally(leaving()) }
  private val current = MutableStateFlow(initial)

  /** The application as it is now. A slow collector misses snapshots, never the last one. */
  val snapshots: StateFlow<Application> = current.asStateFlow()

  /** What has changed from one turn to the next. */
  val changes = ChangeFeed(initial.sequence - 1)

  init {
    // As it begins it is a turn like the others: who watches from the beginning is told of it.
    val records = initial.asChanges().toList()
    val beginning = ChangeSet(initial.sequence, clock.instant(), records, initial.talliesOf(records))
    changes.append(listOf(beginning))
    noted(beginning)
  }

  /** Hands [input] over and returns at once, from any thread. Once [run] has ended nobody is there to hear it. */
  fun post(input: Input) {
    inbox.trySend(Message(input, null))
  }

  /**
   * Hands [command] over and returns its answer, once [snapshots] and [changes] show what came of it and its effects are
   * started.
   *
   * @throws AmException where it is refused, or where the loop has ended.
   */
  @Suppress("UNCHECKED_CAST")
  suspend fun <A : Any> request(command: Command<A>): A {
    val answer = CompletableDeferred<Any>()
    if (inbox.trySend(Message(command, answer)).isFailure) throw leaving()
    return answer.await() as A
  }

  /**
   * Applies inputs in order, and [Due] when the application's deadline has passed, until it is cancelled or one of them
   * cannot be applied, which is a fault of ours.
   */
  suspend fun run() {
    withContext(CoroutineName("application-loop")) {
      try {
        while (true) work(next())
      } finally {
        inbox.cancel()
      }
    }
  }

  /** Null where the deadline passes first. */
  @OptIn(ExperimentalCoroutinesApi::class)
  private suspend fun next(): Message? {
    val deadline = current.value.nextDeadline ?: return inbox.receive()
    val wait = Duration.between(clock.instant(), deadline)
    if (wait.isNegative || wait.isZero) return null
    // A time limit around the receiving could drop what arrives as it passes.
    return select {
      inbox.onReceive { it }
      onTimeout(wait.toMillis() + 1) { null }
    }
  }

  /** Decides [first] and all that waits behind it, then shows it, and only then does anything about it. */
  private fun work(first: Message?) {
    val batch = Batch(current.value, clock.instant())
    try {
      batch.catchUp()
      var message = first ?: inbox.tryReceive().getOrNull()
      while (message != null) {
        batch.decide(message)
        message = if (batch.size < MAX_BATCH) inbox.tryReceive().getOrNull() else null
      }
      current.value = batch.application
      changes.append(batch.turns)
      batch.turns.forEach(noted)
      batch.decisions.forEach { it.effects.forEach(effects::handle) }
      batch.decisions.forEach { it.ended.forEach(ended) }
      batch.answer()
    } catch (broken: Throwable) {
      batch.abandon(leaving())
      fatal(broken)
      throw broken
    }
  }

  private fun leaving() =
    AmException.Unavailable("The Application Master is leaving. Ask YARN how the application ended.", Reason.APPLICATION_LEAVING)

  private class Message(
    val input: Input,
    val answer: CompletableDeferred<Any>?,
  )

  /** What waited at one moment. */
  private class Batch(
    var application: Application,
    private val now: Instant,
  ) {
    val decisions = ArrayList<Decision<*>>()
    private val messages = ArrayList<Message>()
    private val answers = ArrayList<() -> Unit>()

    val size: Int
      get() = messages.size

    val turns: List<ChangeSet>
      get() = decisions.mapNotNull { it.changes }

    /** Does what has become due, before anything that comes later is heard. */
    fun catchUp() {
      val deadline = application.nextDeadline
      if (deadline != null && now >= deadline) keep(application.decide(Due, now))
    }

    fun decide(message: Message) {
      messages += message
      val answer = message.answer
      try {
        val decision = application.decide(message.input, now)
        keep(decision)
        if (answer != null) answers += { answer.complete(decision.answer) }
      } catch (refused: AmException) {
        if (answer != null) answers += { answer.completeExceptionally(refused) }
      }
    }

    private fun keep(decision: Decision<*>) {
      application = decision.application
      decisions += decision
    }

    fun answer() = answers.forEach { it() }

    /** Nobody waits for what will not come. */
    fun abandon(why: AmException) = messages.forEach { it.answer?.completeExceptionally(why) }
  }

  companion object {
    /** Some milliseconds of deciding: for so long readers see an older snapshot, and the first in the batch waits for its answer. */
    const val MAX_BATCH = 1_000
  }
}

package knit.am.core

import knit.am.core.kv.commit
import knit.am.core.kv.expire
import knit.am.core.kv.grant
import knit.am.core.kv.keep
import knit.am.core.kv.revoke
import knit.am.core.kv.voidKeysOfEnded
import java.time.Instant

/** What an input leads to. */
class Decision<out A : Any>(
  val application: Application,
  /** What has changed; null: nothing that has a number, and then there was no turn. */
  val changes: ChangeSet?,
  /** What is to be done about it, in order. */
  val effects: List<Effect>,
  /** What the client is told; of what is no [Command], nothing. */
  val answer: A,
  /** What has changed without a number, and without anybody's being told; see [LeaseKept]. */
  internal val untold: List<Change> = emptyList(),
) {
  /** The containers that reached a final state. */
  val ended: List<Container>
    get() = changes?.changes.orEmpty().mapNotNull { change -> (change as? ContainerChanged)?.container?.takeIf { it.state.isFinal } }
}

/** As [decide] for any input, with the answer to [command]. */
@Suppress("UNCHECKED_CAST")
fun <A : Any> Application.decide(
  command: Command<A>,
  now: Instant,
): Decision<A> = decide(command as Input, now) as Decision<A>

/**
 * Decides what [input] means for the application; the same arguments always give the same result.
 *
 * Every input is harmless in every state; what comes late or twice changes nothing.
 *
 * @throws AmException where a [Command] must be refused; the application is then as it was.
 */
fun Application.decide(
  input: Input,
  now: Instant,
): Decision<*> {
  val turn = Turn(this, now)
  // Made when the turn is over, for it may do more to what the answer tells of.
  var answer: () -> Any = {}
  when (input) {
    is Report -> turn.hear(input)
    is Command<*> -> answer = turn.carryOut(input)
    is Due -> turn.due()
  }
  turn.settle()
  return turn.toDecision(answer())
}

private fun Turn.hear(report: Report) =
  when (report) {
    is Registered -> register(report)
    is MaximumChanged -> changeMaximum(report)
    is Granted -> grant(report)
    is Started -> start(report)
    is LaunchFailed -> launchFailed(report)
    is Completed -> complete(report)
    is NodeLost -> loseNode(report)
    is WaitingExplained -> explain(report)
    is DriverEnded -> driverEnded(report)
    is NoticeGiven -> notice(report.severity, null, report.text)
    is Unregistered -> unregistered()
  }

private fun Turn.carryOut(command: Command<*>): () -> Any =
  when (command) {
    is AddContainers -> add(command)
    is StopContainers -> stop(command)
    is RestartContainers -> restart(command)
    is ReportReady -> report(command)
    is ReportProgress -> report(command)
    is Annotate -> annotate(command)
    is EndApplication -> end(command)
    is ScaleService -> scale(command)
    is AddServices -> addServices(command)
    is RemoveServices -> removeServices(command)
    is UpdateService -> update(command)
    is Commit -> commit(command)
    is GrantLease -> grant(command)
    is KeepLease -> keep(command)
    is RevokeLease -> revoke(command)
  }

/** Does what the times that have passed were for; each of them moves or clears its own. */
private fun Turn.due() {
  while (true) {
    val deadline = application.index.deadlines.first ?: return
    if (now < deadline.time) return
    when (deadline.kind) {
      Deadline.Kind.FORGIVENESS -> forgiveInTime(deadline.name)
      Deadline.Kind.CONTAINER -> due(checkNotNull(application.container(deadline.key)))
      Deadline.Kind.UPDATE -> tookTooLong(deadline.name)
      Deadline.Kind.ALLOCATION -> waitedTooLong(deadline.name)
      Deadline.Kind.LEASE -> expire(deadline.name.toLong())
      Deadline.Kind.ENDING -> ended()
    }
    check(deadline !in application.index.deadlines) { "$deadline has passed and stays" }
  }
}

/** [Container.dueTime] has passed. */
private fun Turn.due(container: Container) =
  when (container.state) {
    ContainerState.PENDING -> request(container)

    ContainerState.HELD -> giveBack(container.key.place.serviceName)

    ContainerState.RUNNING -> lookAt(container)

    // Whoever is asked to end a process by force has been asked to end it gently, and does both.
    else -> put(container.copy(dueTime = null))
  }

/** The services that this turn has changed something of, from one of its changes on. */
private fun Turn.servicesChangedFrom(first: Int): Set<String> {
  val names = LinkedHashSet<String>()
  for (position in first until changes.size) {
    when (val change = changes[position]) {
      is ContainerChanged -> {
        names += change.container.key.place.serviceName
      }

      is PlaceChanged -> {
        names += change.place.key.serviceName
      }

      is ServiceChanged -> {
        names += change.service.name
      }

      else -> {}
    }
  }
  return names
}

/** What every turn ends with, whatever began it. Costs in proportion to what the turn has changed. */
private fun Turn.settle() {
  var settled = 0
  while (settled < changes.size) {
    val touched = servicesChangedFrom(settled)
    settled = changes.size
    if (application.phase == Phase.RUNNING) {
      beginDependents(touched)
      touched.forEach { goOnUpdating(it) }
      touched.forEach { startTogether(it) }
      touched.forEach { limitWaiting(it) }
    }
    judge(touched)
    if (settled == changes.size) {
      waitOn()
      endIfDone()
    }
  }
  voidKeysOfEnded()
  forget()
  forgetAnswers()
}

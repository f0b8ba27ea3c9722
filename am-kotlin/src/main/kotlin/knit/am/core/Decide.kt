package knit.am.core

import java.time.Duration
import java.time.Instant

/**
 * How long an ending application waits for YARN to report another end, before it gives back to YARN what has not ended.
 *
 * A node sends SIGKILL within a second and reports with its next heartbeat, which is seconds; how many there are does not
 * matter, for each end begins the wait anew. An RM that fails over takes less than this too.
 */
internal val STOP_PROGRESS_LIMIT: Duration = Duration.ofMinutes(1)

/** How long it waits after that. YARN reports at once what is given back, so it must have been silent: it forgets us after the same time. */
internal val GIVE_BACK_PROGRESS_LIMIT: Duration = Duration.ofMinutes(10)

/** What an input leads to. */
class Decision<out A : Any>(
  val application: Application,
  /** What is to be done about it, in order. */
  val effects: List<Effect>,
  /** The containers that reached a final state. */
  val ended: List<Container>,
  /** What the client is told; of what is no [Command], nothing. */
  val answer: A,
)

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
 * @throws knit.am.AmException where a [Command] must be refused; the application is then as it was.
 */
fun Application.decide(
  input: Input,
  now: Instant,
): Decision<*> {
  val turn = Turn(this, now)
  // Made when the turn is over, for it may do more to what the answer tells of.
  val answer: () -> Any =
    when (input) {
      is Report -> turn.hear(input).let { { } }
      is Command<*> -> turn.carryOut(input)
      is Due -> turn.due().let { { } }
    }
  turn.endIfDone()
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
    is Unregistered -> unregistered()
  }

private fun Turn.carryOut(command: Command<*>): () -> Any =
  when (command) {
    is AddContainers -> {
      add(command)
    }

    is StopContainers -> {
      stop(command)
    }

    is EndApplication -> {
      end(application.requestedOutcome(command))
      val answer = { application }
      answer
    }
  }

/** The application while one input is worked into it. Lives for one call of [decide] and is seen by nobody else. */
internal class Turn(
  var application: Application,
  val now: Instant,
) {
  val effects = mutableListOf<Effect>()
  private val ended = mutableListOf<Container>()

  fun toDecision(answer: Any) = Decision(application, effects.toList(), ended.toList(), answer)

  fun register(report: Registered) {
    application = application.copy(maxResource = report.maxResource, startTime = application.startTime ?: now)
    val problem = application.problem ?: application.tooLarge(report.maxResource) ?: return
    end(Outcome(FinalStatus.FAILED, problem, 1))
  }

  fun changeMaximum(report: MaximumChanged) {
    application = application.copy(maxResource = report.maxResource)
  }

  fun grant(report: Granted) {
    val containerId = report.lease.containerId
    if (application.knows(containerId)) return
    val container = application.waiting.first(report.requested)?.let { application.container(it) }
    if (container == null) {
      application = application.withPastLease(containerId)
      effects += Release(containerId)
      return
    }
    change(container.copy(state = ContainerState.LAUNCHING, lease = report.lease))
    effects += Launch(container.key, report.lease, container.environment)
  }

  fun start(report: Started) {
    val container = application.container(report.containerId) ?: return
    val started = container.copy(startTime = container.startTime ?: now)
    when (container.state) {
      ContainerState.LAUNCHING -> {
        change(started.copy(state = ContainerState.RUNNING))
        container.lease?.let { forgive(application.blames.launchedOn(it.nodeId)) }
      }

      // The stop may have reached the NodeManager before the launch did, and found nothing to stop.
      ContainerState.STOPPING -> {
        change(started)
        effects += StopContainer(checkNotNull(container.lease))
      }

      else -> {}
    }
  }

  fun launchFailed(report: LaunchFailed) {
    val container = application.container(report.containerId) ?: return
    // A failure after the start was confirmed is that of a second try to launch the same container.
    if (!container.state.isLeased || container.startTime != null) return
    effects += Release(report.containerId)
    finish(container, ContainerExit(ExitReason.LAUNCH_FAILED, null, now, bounded(report.diagnostics)), report.fault)
  }

  fun complete(report: Completed) {
    val container = application.container(report.containerId) ?: return
    if (!container.state.isLeased) return
    finish(container, exitOf(report.exitStatus, report.diagnostics, now))
  }

  /** All of them are marked first: what one failure leads to must not stop a container that is gone already. */
  fun loseNode(report: NodeLost) {
    val exit = ContainerExit(ExitReason.NODE_LOST, null, now, "Node ${report.nodeId} was lost.")
    val keys = application.leased[report.nodeId].orEmpty()
    val lost = keys.sorted().mapNotNull { application.container(it) }
    val ended = lost.map { container -> container.endedWith(exit).also { change(it) } }
    lost.mapNotNullTo(effects) { container -> container.lease?.let { Release(it.containerId) } }
    ended.forEach { followUp(it) }
  }

  /** Decides the outcome and stops what is left, node by node; the first outcome stands. */
  fun end(outcome: Outcome) {
    if (application.phase != Phase.RUNNING) return
    application = application.copy(phase = Phase.ENDING, outcome = outcome)
    val open = application.containers.filterNot { it.state.isFinal }.sortedBy { it.lease?.nodeId.orEmpty() }
    open.forEach { stop(it, ExitReason.APPLICATION_ENDED) }
    if (application.leasedCount > 0) application = application.copy(endDeadline = now + STOP_PROGRESS_LIMIT)
  }

  fun due() {
    forgive(application.blames.forgiven(now))
    if (application.endDeadline?.let { now < it } ?: true) return
    if (application.isGivenBack) giveUpWaiting() else giveBack()
  }

  /** Nodes have taken the stops and report nothing: the RM, which answers for them in the end, is asked to. */
  private fun giveBack() {
    application.leasedContainers().mapNotNullTo(effects) { container -> container.lease?.let { Release(it.containerId) } }
    application = application.copy(isGivenBack = true, endDeadline = now + GIVE_BACK_PROGRESS_LIMIT)
  }

  private fun giveUpWaiting() {
    val silent = "YARN has not reported its end: it has said nothing for ${GIVE_BACK_PROGRESS_LIMIT.toMinutes()} minutes."
    val exit = ContainerExit(ExitReason.APPLICATION_ENDED, null, now, silent)
    for (container in application.leasedContainers()) change(container.endedWith(exit))
  }

  fun endIfDone() {
    if (application.isDone || application.openCount > 0) return
    if (application.phase == Phase.RUNNING && application.size == 0) return
    val outcome = application.outcome ?: application.naturalOutcome()
    application = application.copy(phase = Phase.REPORTING, outcome = outcome, endDeadline = null)
    effects += Unregister(outcome)
  }

  fun unregistered() {
    if (application.phase == Phase.REPORTING) application = application.copy(phase = Phase.ENDED)
  }

  /** Ends [container] because somebody wants it to, unless it has ended or is about to. */
  fun stop(
    container: Container,
    cause: ExitReason,
  ) {
    when (container.state) {
      ContainerState.REQUESTED -> {
        val exit = ContainerExit(cause, null, now, "It was not granted yet.")
        change(container.copy(state = ContainerState.STOPPED, stopCause = cause, exit = exit))
      }

      ContainerState.LAUNCHING, ContainerState.RUNNING -> {
        change(container.copy(state = ContainerState.STOPPING, stopCause = cause))
        effects += StopContainer(checkNotNull(container.lease))
      }

      else -> {}
    }
  }

  private fun finish(
    container: Container,
    exit: ContainerExit,
    fault: LaunchFault = LaunchFault.NODE,
  ) {
    val ended = container.endedWith(exit)
    change(ended)
    followUp(ended, fault)
  }

  /** After a failure: another attempt while the budgets last, else what the service's policy says. */
  private fun followUp(
    ended: Container,
    fault: LaunchFault = LaunchFault.NODE,
  ) {
    judgeNode(ended, fault)
    if (ended.state != ContainerState.FAILED || application.phase != Phase.RUNNING) return
    val service = application.services.getValue(ended.key.place.serviceName)
    val charged = application.place(ended.key.place)?.charged(checkNotNull(ended.exit).reason, service)
    if (charged != null && fault != LaunchFault.SPECIFICATION) {
      application = application.following(ended, charged, now)
      return
    }
    application = application.copy(firstFailure = application.firstFailure ?: ended)
    if (service.failurePolicy == FailurePolicy.FAIL_APPLICATION) end(application.failureOutcome(ended))
  }

  private fun judgeNode(
    ended: Container,
    fault: LaunchFault,
  ) {
    val nodeId = ended.lease?.nodeId ?: return
    val reason = checkNotNull(ended.exit).reason
    when {
      reason == ExitReason.EXITED -> {
        forgive(application.blames.ranOn(nodeId))
      }

      reason.blamesNode && fault == LaunchFault.NODE -> {
        application = application.copy(blames = application.blames.forgiven(now).plus(nodeId, Blame(reason, now)))
      }
    }
  }

  private fun forgive(blames: NodeBlames) {
    if (blames !== application.blames) application = application.copy(blames = blames)
  }

  private fun change(container: Container) {
    application = application.replacing(container)
    if (!container.state.isFinal) return
    ended += container
    val limit = if (application.isGivenBack) GIVE_BACK_PROGRESS_LIMIT else STOP_PROGRESS_LIMIT
    if (application.endDeadline != null) application = application.copy(endDeadline = now + limit)
  }
}

private fun Application.leasedContainers(): List<Container> =
  leased.values
    .flatten()
    .sorted()
    .mapNotNull { container(it) }

/** This in its final state: [exit] as it is, unless its end was asked for. */
private fun Container.endedWith(exit: ContainerExit): Container {
  val cause = stopCause
  return when {
    cause != null -> copy(state = ContainerState.STOPPED, exit = exit.copy(reason = cause))
    exit.reason == ExitReason.EXITED && exit.exitCode == 0 -> copy(state = ContainerState.SUCCEEDED, exit = exit)
    else -> copy(state = ContainerState.FAILED, exit = exit)
  }
}

private fun Application.tooLarge(limit: Resource): String? {
  val size = waiting.sizes.firstOrNull { !it.fitsIn(limit) } ?: return null
  val serviceName = checkNotNull(waiting.first(size)).place.serviceName
  return "Service $serviceName wants $size for each container; YARN grants at most $limit to one. " +
    "Ask for less, or have the cluster's yarn.scheduler.maximum-allocation raised."
}

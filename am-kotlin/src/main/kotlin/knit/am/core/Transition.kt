package knit.am.core

import java.time.Instant

/** What an event leads to. */
class Transition(
  val application: Application,
  /** What is to be done about it, in order. */
  val effects: List<Effect>,
  /** For a [ClientRequest], the containers its answer lists; read them from [application]. */
  val subjects: List<ContainerKey>,
)

/**
 * Decides what [event] means for the application; the same arguments always give the same result.
 *
 * Every event is harmless in every state; what comes late or twice changes nothing.
 *
 * @throws knit.am.AmException where a [ClientRequest] must be refused; the application is then as it was.
 */
fun Application.on(
  event: Event,
  now: Instant,
): Transition {
  val turn = Turn(this, now)
  when (event) {
    is Registered -> turn.register(event)
    is Granted -> turn.grant(event)
    is Started -> turn.start(event)
    is LaunchFailed -> turn.launchFailed(event)
    is Completed -> turn.complete(event)
    is NodeLost -> turn.loseNode(event)
    is AddContainers -> turn.add(event)
    is StopContainers -> turn.stop(event)
    is EndApplication -> turn.end(requestedOutcome(event))
    is EndingTimedOut -> turn.giveUpWaiting()
  }
  turn.endIfDone()
  return turn.toTransition()
}

/** The application while one event is worked into it. Lives for one call of [on] and is seen by nobody else. */
internal class Turn(
  var application: Application,
  val now: Instant,
) {
  val effects = mutableListOf<Effect>()
  var subjects: List<ContainerKey> = emptyList()

  fun toTransition() = Transition(application, effects.toList(), subjects)

  fun register(event: Registered) {
    application = application.copy(maxResource = event.maxResource, startTime = application.startTime ?: now)
    val problem = application.problem ?: application.tooLarge(event.maxResource) ?: return
    end(Outcome(FinalStatus.FAILED, problem, 1))
  }

  fun grant(event: Granted) {
    val containerId = event.lease.containerId
    if (containerId in application.keys || containerId in application.surplus) return
    val container = application.waiting.first(event.requested)?.let { application.container(it) }
    if (container == null) {
      application = application.copy(surplus = application.surplus.add(containerId))
      effects += Release(containerId)
      return
    }
    change(container.copy(state = ContainerState.LAUNCHING, lease = event.lease))
    effects += Launch(container.key, event.lease, container.environment)
  }

  fun start(event: Started) {
    val container = application.container(event.containerId) ?: return
    val started = container.copy(startTime = container.startTime ?: now)
    when (container.state) {
      ContainerState.LAUNCHING -> {
        change(started.copy(state = ContainerState.RUNNING))
      }

      // The stop may have reached the NodeManager before the launch did, and found nothing to stop.
      ContainerState.STOPPING -> {
        change(started)
        effects += StopContainer(checkNotNull(container.lease))
      }

      else -> {}
    }
  }

  fun launchFailed(event: LaunchFailed) {
    val container = application.container(event.containerId) ?: return
    // A failure after the start was confirmed is that of a second try to launch the same container.
    if (!container.state.isLeased || container.startTime != null) return
    effects += Release(event.containerId)
    finish(container, ContainerExit(ExitReason.LAUNCH_FAILED, null, now, event.diagnostics))
  }

  fun complete(event: Completed) {
    val container = application.container(event.containerId) ?: return
    if (!container.state.isLeased) return
    finish(container, exitOf(event.exitStatus, event.diagnostics, now))
  }

  /** All of them are marked first: what one failure leads to must not stop a container that is gone already. */
  fun loseNode(event: NodeLost) {
    val exit = ContainerExit(ExitReason.NODE_LOST, null, now, "Node ${event.nodeId} was lost.")
    val keys = application.leased[event.nodeId].orEmpty()
    val lost = keys.sorted().mapNotNull { application.container(it) }
    val ended = lost.map { container -> container.endedWith(exit).also { change(it) } }
    lost.mapNotNullTo(effects) { container -> container.lease?.let { Release(it.containerId) } }
    ended.forEach { followUp(it) }
  }

  /** Decides the outcome and stops what is left; the first outcome stands. */
  fun end(outcome: Outcome) {
    if (application.phase != Phase.RUNNING) return
    application = application.copy(phase = Phase.ENDING, outcome = outcome)
    application.containers.filterNot { it.state.isFinal }.forEach { stop(it, ExitReason.APPLICATION_ENDED) }
    if (application.leasedCount > 0) effects += StartEndingTimer
  }

  fun giveUpWaiting() {
    if (application.phase != Phase.ENDING) return
    val exit = ContainerExit(ExitReason.APPLICATION_ENDED, null, now, "YARN did not report its end in time.")
    for (container in application.containers.filter { it.state.isLeased }) {
      effects += Release(checkNotNull(container.lease).containerId)
      change(container.endedWith(exit))
    }
  }

  fun endIfDone() {
    if (application.phase == Phase.ENDED || application.openCount > 0) return
    if (application.phase == Phase.RUNNING && application.size == 0) return
    val outcome = application.outcome ?: application.naturalOutcome()
    application = application.copy(phase = Phase.ENDED, outcome = outcome)
    effects += Unregister(outcome)
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
  ) {
    val ended = container.endedWith(exit)
    change(ended)
    followUp(ended)
  }

  /** After a failure: another attempt while the budgets last, else what the service's policy says. */
  private fun followUp(ended: Container) {
    if (ended.state != ContainerState.FAILED) return
    val exit = checkNotNull(ended.exit)
    if (exit.reason.blamesNode) ended.lease?.let { application = application.blaming(it.nodeId) }
    if (application.phase != Phase.RUNNING) return
    val service = application.services.getValue(ended.key.place.serviceName)
    val charged = application.place(ended.key.place)?.charged(exit.reason, service)
    if (charged != null && application.size < MAX_CONTAINERS) {
      application = application.following(ended, charged, now)
      return
    }
    application = application.copy(firstFailure = application.firstFailure ?: ended)
    if (service.failurePolicy == FailurePolicy.FAIL_APPLICATION) end(application.failureOutcome(ended))
  }

  private fun change(container: Container) {
    application = application.replacing(container)
  }
}

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

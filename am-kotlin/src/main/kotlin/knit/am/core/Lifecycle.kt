package knit.am.core

internal fun Turn.start(report: Started) {
  val container = application.container(report.containerId) ?: return
  val started = container.copy(startTime = container.startTime ?: now)
  when (container.state) {
    ContainerState.LAUNCHING -> {
      put(withReadiness(started.copy(state = ContainerState.RUNNING)))
      container.lease?.let { launchedOn(it.nodeId) }
    }

    // The stop may have reached the NodeManager before the launch did, and found nothing to stop.
    ContainerState.STOPPING -> {
      if (started != container) put(started)
      effect(StopContainer(checkNotNull(container.lease)))
    }

    else -> {}
  }
}

internal fun Turn.launchFailed(report: LaunchFailed) {
  val container = application.container(report.containerId) ?: return
  // A failure after the start was confirmed is that of a second try to launch the same container.
  if (!container.state.isLeased || container.startTime != null || container.state == ContainerState.HELD) return
  effect(Release(report.containerId))
  finish(container, ContainerExit(ExitReason.LAUNCH_FAILED, null, now, bounded(report.diagnostics)), report.fault)
}

internal fun Turn.complete(report: Completed) {
  val container = application.container(report.containerId) ?: return
  when {
    container.state == ContainerState.HELD -> loseHeld(container)
    container.state.isLeased -> finish(container, exitOf(report.exitStatus, report.diagnostics, now))
  }
}

/** All of them are marked first: what one failure leads to must not stop a container that is gone already. */
internal fun Turn.loseNode(report: NodeLost) {
  val exit = ContainerExit(ExitReason.NODE_LOST, null, now, "Node ${report.nodeId} was lost.")
  val keys = application.index.byNode[report.nodeId].orEmpty()
  val (held, lost) = keys.sorted().mapNotNull { application.container(it) }.partition { it.state == ContainerState.HELD }
  for (container in held) {
    loseHeld(container)
    effect(Release(checkNotNull(container.lease).containerId))
  }
  val ended = lost.map { container -> container.endedWith(exit).also { put(it) } }
  lost.forEach { container -> container.lease?.let { effect(Release(it.containerId)) } }
  ended.forEach { followUp(it) }
}

/** Ends [container] because somebody wants it to, unless it has ended or is about to. */
internal fun Turn.stop(
  container: Container,
  cause: ExitReason,
) {
  when (container.state) {
    ContainerState.PENDING, ContainerState.REQUESTED, ContainerState.HELD -> {
      val exit = ContainerExit(cause, null, now, "It was not started yet.")
      put(container.copy(state = ContainerState.STOPPED, stopCause = cause, exit = exit, dueTime = null))
      container.lease?.let { effect(Release(it.containerId)) }
    }

    ContainerState.LAUNCHING, ContainerState.RUNNING -> {
      val grace = application.spec(container.key.place.serviceName).stopGrace
      put(container.copy(state = ContainerState.STOPPING, stopCause = cause, isReady = false, dueTime = grace?.let { now + it }))
      effect(StopContainer(checkNotNull(container.lease)))
    }

    else -> {}
  }
}

private fun Turn.finish(
  container: Container,
  exit: ContainerExit,
  fault: LaunchFault = LaunchFault.NODE,
) {
  val ended = container.endedWith(exit)
  put(ended)
  followUp(ended, fault)
}

/** What the end of a container means for its node and for its place. */
private fun Turn.followUp(
  ended: Container,
  fault: LaunchFault = LaunchFault.NODE,
) {
  judgeNode(ended, fault)
  if (application.phase != Phase.RUNNING) return
  val latest = checkNotNull(application.latest(ended.key.place))
  when {
    // It was followed while it was on its way out.
    latest.key != ended.key -> {
      if (latest.waitsForPlace && application.services.getValue(latest.ref.serviceName).hasBegun) request(latest)
    }

    application.slot(ended.key.place)?.isRetired == true -> {}

    ended.state == ContainerState.FAILED -> {
      restartOrGiveUp(ended, fault)
    }
  }
}

/** This in its final state: [exit] as it is, unless its end was asked for. */
internal fun Container.endedWith(exit: ContainerExit): Container {
  val cause = stopCause
  val reason = cause ?: exit.reason
  val end =
    when {
      // It is stopped because it has failed already.
      cause == ExitReason.UNHEALTHY -> ContainerState.FAILED

      cause != null -> ContainerState.STOPPED

      reason == ExitReason.EXITED && exit.exitCode == 0 -> ContainerState.SUCCEEDED

      else -> ContainerState.FAILED
    }
  return copy(state = end, exit = exit.copy(reason = reason), isReady = false, dueTime = null)
}

/** Whether it waits for its service to begin or for the attempt before it to end, and for no time. */
internal val Container.waitsForPlace: Boolean
  get() = state == ContainerState.PENDING && dueTime == null

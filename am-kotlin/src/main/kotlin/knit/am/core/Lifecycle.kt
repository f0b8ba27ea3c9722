package knit.am.core

internal fun Turn.start(report: Started) {
  val container = application.container(report.containerId) ?: return
  val started = container.copy(startTime = container.startTime ?: now)
  when (container.state) {
    ContainerState.LAUNCHING -> {
      put(started.copy(state = ContainerState.RUNNING))
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
  if (!container.state.isLeased || container.startTime != null) return
  effect(Release(report.containerId))
  finish(container, ContainerExit(ExitReason.LAUNCH_FAILED, null, now, bounded(report.diagnostics)), report.fault)
}

internal fun Turn.complete(report: Completed) {
  val container = application.container(report.containerId) ?: return
  if (!container.state.isLeased) return
  finish(container, exitOf(report.exitStatus, report.diagnostics, now))
}

/** All of them are marked first: what one failure leads to must not stop a container that is gone already. */
internal fun Turn.loseNode(report: NodeLost) {
  val exit = ContainerExit(ExitReason.NODE_LOST, null, now, "Node ${report.nodeId} was lost.")
  val keys = application.index.byNode[report.nodeId].orEmpty()
  val lost = keys.sorted().mapNotNull { application.container(it) }
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
    ContainerState.REQUESTED -> {
      val exit = ContainerExit(cause, null, now, "It was not granted yet.")
      put(container.copy(state = ContainerState.STOPPED, stopCause = cause, exit = exit))
    }

    ContainerState.LAUNCHING, ContainerState.RUNNING -> {
      put(container.copy(state = ContainerState.STOPPING, stopCause = cause))
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
  if (ended.state == ContainerState.FAILED && application.phase == Phase.RUNNING) restartOrGiveUp(ended, fault)
}

/** This in its final state: [exit] as it is, unless its end was asked for. */
internal fun Container.endedWith(exit: ContainerExit): Container {
  val cause = stopCause
  return when {
    cause != null -> copy(state = ContainerState.STOPPED, exit = exit.copy(reason = cause))
    exit.reason == ExitReason.EXITED && exit.exitCode == 0 -> copy(state = ContainerState.SUCCEEDED, exit = exit)
    else -> copy(state = ContainerState.FAILED, exit = exit)
  }
}

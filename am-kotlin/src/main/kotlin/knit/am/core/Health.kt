package knit.am.core

import java.time.Duration
import java.time.Instant

// When a container counts as ready: some time after it runs, or after its program has said so. One that is not ready within its
// limit is stopped, and has failed.

/** A program says that it is ready, or is not any more. The answer is the sequence at which that is so. */
data class ReportReady(
  val container: ContainerRef,
  val isReady: Boolean,
) : Command<Long>

internal fun Turn.report(report: ReportReady): () -> Long {
  val container = application.container(report.container) ?: throw noSuchContainer(report.container)
  refuseIfNotAsked(container)
  when {
    !report.isReady -> if (container.reportTime != null) put(withReadiness(container.copy(reportTime = null, isReady = false)))
    container.reportTime == null -> put(withReadiness(container.copy(reportTime = now)))
  }
  return { application.sequence }
}

private fun Turn.refuseIfNotAsked(container: Container) {
  if (container.state != ContainerState.LAUNCHING && container.state != ContainerState.RUNNING) {
    throw AmException.FailedPrecondition(
      "${container.key} is ${container.state}: only a container that runs is ready or not.",
      Reason.CONTAINER_ENDED,
      mapOf("service_name" to container.ref.serviceName, "ordinal" to "${container.ordinal}", "state" to container.state.name),
    )
  }
  if (!readinessOf(container).isReported) {
    throw AmException.FailedPrecondition(
      "Containers of service ${container.ref.serviceName} are ready once they have run for a while. Give the service a readiness that is " +
        "reported to have its programs say when they are.",
      Reason.READINESS_NOT_REPORTED,
      mapOf("service_name" to container.ref.serviceName),
    )
  }
}

private fun Turn.readinessOf(container: Container) = application.spec(container.ref.serviceName, container.revision).readiness

/** How long [container] has to be ready before it counts. */
internal fun Turn.minReady(container: Container): Duration {
  val isUpdated = application.services.getValue(container.ref.serviceName).update != null
  return readinessOf(container).minReady ?: if (isUpdated) Readiness.MIN_READY_IN_UPDATES else Readiness.DEFAULT_MIN_READY
}

/** [container], of which something was heard, ready if it is by now, or else with the time when that is looked at again. */
internal fun Turn.withReadiness(container: Container): Container {
  val startTime = container.startTime
  if (container.state != ContainerState.RUNNING || startTime == null || container.isReady) return container
  val since = if (readinessOf(container).isReported) container.reportTime else startTime
  val readyTime = since?.plus(minReady(container))
  if (readyTime != null && readyTime <= now) return container.copy(isReady = true, readyTime = now, dueTime = null)
  return container.copy(dueTime = listOfNotNull(readyTime, readyLimit(container)).minOrNull())
}

/** When a container has failed that was never ready; null: it may take for ever. */
private fun Turn.readyLimit(container: Container): Instant? =
  readinessOf(container).limit?.takeIf { container.readyTime == null }?.let { checkNotNull(container.startTime) + it }

/** What was due of a container that runs: that it is ready, or that it should have been. */
internal fun Turn.lookAt(container: Container) {
  val looked = withReadiness(container.copy(dueTime = null))
  val limit = readyLimit(looked)
  if (!looked.isReady && limit != null && limit <= now) {
    stop(looked, ExitReason.UNHEALTHY)
  } else {
    put(looked)
  }
}

package knit.am.core

/** The Application Master is registered: what is wanted must be something that YARN grants at all. */
internal fun Turn.register(report: Registered) {
  val header = application.header
  put(header.copy(maxResource = report.maxResource, startTime = header.startTime ?: now))
  // Their first containers were there before there was anybody to ask.
  application.serviceNames.forEach { limitWaiting(it) }
  if (header.problem != null) {
    end(Outcome(FinalStatus.FAILED, header.problem, 1, isFinal = true))
    return
  }
  val problem = application.tooLarge(report.maxResource)
  if (problem != null) end(Outcome(FinalStatus.FAILED, problem, 1)) else startDriver()
}

internal fun Turn.changeMaximum(report: MaximumChanged) = put(application.header.copy(maxResource = report.maxResource))

/** A grant goes to the first that waits for its shape, or back. */
internal fun Turn.grant(report: Granted) {
  val containerId = report.lease.containerId
  if (application.knows(containerId)) return
  val container =
    application.index.waiting
      .first(report.requested)
      ?.let { application.container(it) }
  if (container == null) {
    put(LeasePassed(PastLease(containerId, sequence)))
    effect(Release(containerId))
    return
  }
  if (application.holdsGrants(container.key.place.serviceName)) hold(container, report.lease) else launch(container, report.lease)
}

/** [container] is to be started on [lease], which it has or is given here. */
internal fun Turn.launch(
  container: Container,
  lease: Lease,
) {
  put(container.copy(state = ContainerState.LAUNCHING, lease = lease, dueTime = null))
  val spec = application.spec(container.key.place.serviceName, container.revision)
  effect(Launch(container.key, container.ordinal, container.revision, lease, spec, container.environment))
}

private fun Application.tooLarge(limit: Resource): String? {
  val waiting = index.waiting
  val shape = waiting.shapes.firstOrNull { !it.resource.fitsIn(limit) } ?: return null
  val serviceName = checkNotNull(waiting.first(shape)).place.serviceName
  return "Service $serviceName wants ${shape.resource.problemIn(limit)}"
}

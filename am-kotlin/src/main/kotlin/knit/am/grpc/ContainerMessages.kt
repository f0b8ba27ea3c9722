package knit.am.grpc

import knit.am.core.AddContainers
import knit.am.core.AmException
import knit.am.core.Caller
import knit.am.core.Container
import knit.am.core.ContainerExit
import knit.am.core.ContainerState
import knit.am.core.ExitReason
import knit.am.core.Named
import knit.am.core.PlaceKey
import knit.am.core.ReportReady
import knit.am.core.RestartContainers
import knit.am.core.StopContainers
import knit.am.core.refuseOthers
import knit.v1.AddContainersRequest
import knit.v1.ReportReadyRequest
import knit.v1.RestartContainersRequest
import knit.v1.StopContainersRequest
import knit.v1.Container as ContainerMessage
import knit.v1.ContainerExit as ContainerExitMessage
import knit.v1.ContainerState as ContainerStateMessage
import knit.v1.ExitReason as ExitReasonMessage
import knit.v1.Place as PlaceMessage

// What ContainerService says and is told.

internal fun PlaceMessage.toDomain() = PlaceKey(serviceName, rank)

internal fun AddContainersRequest.toDomain(caller: Caller): AddContainers {
  refuseIfUnknown()
  return AddContainers(
    serviceName = serviceName,
    count = count,
    resource = if (hasResource()) resource.toDomain() else null,
    environment = environmentMap.toMap(),
    requestId = requestId,
    historyId = historyId,
    caller = caller,
  )
}

internal fun StopContainersRequest.toDomain(caller: Caller): StopContainers {
  refuseIfUnknown()
  return StopContainers(
    containerIdsList.toList(),
    placesList.map { it.toDomain() },
    containersList.map { it.toDomain() },
    serviceNamesList.toList(),
    requestId,
    historyId,
    caller,
  )
}

internal fun RestartContainersRequest.toDomain(): RestartContainers {
  refuseIfUnknown()
  val named =
    Named(containerIdsList.toList(), placesList.map { it.toDomain() }, containersList.map { it.toDomain() }, serviceNamesList.toList())
  return RestartContainers(named, requestId, historyId)
}

/** @param caller who is meant where no container is named */
internal fun ReportReadyRequest.toDomain(caller: Caller): ReportReady {
  refuseIfUnknown()
  val named =
    (if (hasContainer()) container.toDomain() else caller.container)
      ?: throw AmException.InvalidArgument("No container is named, and the caller is none. Give container, its service and ordinal.")
  caller.refuseOthers(listOf(named), "report the readiness of")
  return ReportReady(named, !isNotReady)
}

internal fun Container.toMessage(): ContainerMessage {
  val message =
    ContainerMessage
      .newBuilder()
      .setServiceName(key.place.serviceName)
      .setRank(key.place.rank)
      .setAttemptNumber(key.attemptNumber)
      .setState(state.toMessage())
      .setResource((lease?.resource ?: resource).toMessage())
      .setRequestTime(requestTime.toMessage())
      .setOrdinal(ordinal)
      .setRevision(revision)
      .setIsReady(isReady)
  lease?.let {
    message
      .setContainerId(it.containerId)
      .setNodeId(it.nodeId)
      .setNodeHttpAddress(it.nodeHttpAddress)
  }
  startTime?.let { message.setStartTime(it.toMessage()) }
  readyTime?.let { message.setReadyTime(it.toMessage()) }
  restartTime?.let { message.setRestartTime(it.toMessage()) }
  killTime?.let { message.setKillTime(it.toMessage()) }
  exit?.let { message.setExit(it.toMessage()) }
  return message.build()
}

private fun ContainerExit.toMessage(): ContainerExitMessage {
  val message =
    ContainerExitMessage
      .newBuilder()
      .setReason(reason.toMessage())
      .setFinishTime(finishTime.toMessage())
      .setDiagnostics(diagnostics)
  exitCode?.let(message::setExitCode)
  signal?.let(message::setSignal)
  return message.build()
}

internal fun ExitReason.toMessage(): ExitReasonMessage =
  when (this) {
    ExitReason.EXITED -> ExitReasonMessage.EXIT_REASON_EXITED
    ExitReason.STOPPED -> ExitReasonMessage.EXIT_REASON_STOPPED
    ExitReason.APPLICATION_ENDED -> ExitReasonMessage.EXIT_REASON_APPLICATION_ENDED
    ExitReason.PREEMPTED -> ExitReasonMessage.EXIT_REASON_PREEMPTED
    ExitReason.OUT_OF_MEMORY -> ExitReasonMessage.EXIT_REASON_OUT_OF_MEMORY
    ExitReason.NODE_LOST -> ExitReasonMessage.EXIT_REASON_NODE_LOST
    ExitReason.DISK_FAILED -> ExitReasonMessage.EXIT_REASON_DISK_FAILED
    ExitReason.LOCALIZATION_FAILED -> ExitReasonMessage.EXIT_REASON_LOCALIZATION_FAILED
    ExitReason.LAUNCH_FAILED -> ExitReasonMessage.EXIT_REASON_LAUNCH_FAILED
    ExitReason.KILLED_BY_YARN -> ExitReasonMessage.EXIT_REASON_KILLED_BY_YARN
    ExitReason.UNHEALTHY -> ExitReasonMessage.EXIT_REASON_UNHEALTHY
    ExitReason.SCALED_DOWN -> ExitReasonMessage.EXIT_REASON_SCALED_DOWN
    ExitReason.REPLACED -> ExitReasonMessage.EXIT_REASON_REPLACED
    ExitReason.RESTARTED -> ExitReasonMessage.EXIT_REASON_RESTARTED
    ExitReason.MASTER_LOST -> ExitReasonMessage.EXIT_REASON_MASTER_LOST
  }

internal fun ContainerState.toMessage(): ContainerStateMessage =
  when (this) {
    ContainerState.PENDING -> ContainerStateMessage.CONTAINER_STATE_PENDING
    ContainerState.HELD -> ContainerStateMessage.CONTAINER_STATE_HELD
    ContainerState.REQUESTED -> ContainerStateMessage.CONTAINER_STATE_REQUESTED
    ContainerState.LAUNCHING -> ContainerStateMessage.CONTAINER_STATE_LAUNCHING
    ContainerState.RUNNING -> ContainerStateMessage.CONTAINER_STATE_RUNNING
    ContainerState.STOPPING -> ContainerStateMessage.CONTAINER_STATE_STOPPING
    ContainerState.SUCCEEDED -> ContainerStateMessage.CONTAINER_STATE_SUCCEEDED
    ContainerState.FAILED -> ContainerStateMessage.CONTAINER_STATE_FAILED
    ContainerState.STOPPED -> ContainerStateMessage.CONTAINER_STATE_STOPPED
  }

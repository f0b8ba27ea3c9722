package knit.am.grpc

import com.google.protobuf.Duration
import com.google.protobuf.InvalidProtocolBufferException
import com.google.protobuf.Timestamp
import com.google.protobuf.UnsafeByteOperations
import knit.am.Submission
import knit.am.core.AddContainers
import knit.am.core.Container
import knit.am.core.ContainerExit
import knit.am.core.ContainerState
import knit.am.core.EndApplication
import knit.am.core.ExitReason
import knit.am.core.FailurePolicy
import knit.am.core.FinalStatus
import knit.am.core.LocalResource
import knit.am.core.Outcome
import knit.am.core.Phase
import knit.am.core.PlaceKey
import knit.am.core.Resource
import knit.am.core.ServiceSpec
import knit.am.core.StopContainers
import knit.am.log.LogFile
import knit.am.log.LogItem
import knit.am.log.LogPiece
import knit.am.log.LogQuery
import knit.v1.AddContainersRequest
import knit.v1.ApplicationOutcome
import knit.v1.ApplicationSpec
import knit.v1.ApplicationState
import knit.v1.LocalResourceType
import knit.v1.LocalResourceVisibility
import knit.v1.LogBegin
import knit.v1.LogChunk
import knit.v1.LogEnd
import knit.v1.PortRange
import knit.v1.Service
import knit.v1.ShutdownRequest
import knit.v1.StopContainersRequest
import knit.v1.StreamLogsRequest
import knit.v1.StreamLogsResponse
import java.time.Instant
import knit.v1.Container as ContainerMessage
import knit.v1.ContainerExit as ContainerExitMessage
import knit.v1.ContainerState as ContainerStateMessage
import knit.v1.ExitReason as ExitReasonMessage
import knit.v1.FailurePolicy as FailurePolicyMessage
import knit.v1.FinalStatus as FinalStatusMessage
import knit.v1.LocalResource as LocalResourceMessage
import knit.v1.LogFile as LogFileMessage
import knit.v1.Place as PlaceMessage
import knit.v1.Resource as ResourceMessage

// The door between generated messages and our own types.

/** Reads what the client put into the submission's credentials. */
internal fun submissionOf(bytes: ByteArray): Submission =
  try {
    ApplicationSpec.parseFrom(bytes).toDomain()
  } catch (broken: InvalidProtocolBufferException) {
    val problem = "The specification cannot be read: ${broken.message} It must be a serialized knit.v1.ApplicationSpec."
    Submission("", emptyMap(), Submission.DEFAULT_LINGER, stagingUrl = null, userName = null, problem = problem)
  }

/** With a problem, what is not understood is left out: then nothing is run, and clients are told why. */
internal fun ApplicationSpec.toDomain(): Submission {
  val problem = problem()
  return Submission(
    name = name,
    services = if (problem == null) servicesMap.mapValues { it.value.toDomain() } else emptyMap(),
    linger = if (hasLinger() && problem == null) linger.toDomain() else Submission.DEFAULT_LINGER,
    stagingUrl = stagingUrl.ifEmpty { null },
    userName = userName.ifEmpty { null },
    masterPorts = if (hasMasterPorts() && problem == null) masterPorts.first..masterPorts.last else null,
    problem = problem,
  )
}

/** The submission as clients may see it: the values of variables may be secret, and are left out. */
internal fun Submission.toMessage(): ApplicationSpec {
  val message =
    ApplicationSpec
      .newBuilder()
      .setName(name)
      .putAllServices(services.mapValues { it.value.toMessage() })
      .setLinger(linger.toMessage())
      .setStagingUrl(stagingUrl.orEmpty())
      .setUserName(userName.orEmpty())
  masterPorts?.let { message.setMasterPorts(it.toMessage()) }
  return message.build()
}

private fun IntRange.toMessage(): PortRange =
  PortRange
    .newBuilder()
    .setFirst(first)
    .setLast(last)
    .build()

private fun Service.toDomain() =
  ServiceSpec(
    command = command,
    instances = instances,
    resource = resource.toDomain(),
    environment = environmentMap.toMap(),
    localResources = localResourcesMap.mapValues { it.value.toDomain() },
    maxRestarts = maxRestarts,
    maxReplacements = if (hasMaxReplacements()) maxReplacements else ServiceSpec.DEFAULT_MAX_REPLACEMENTS,
    failurePolicy =
      when (failurePolicy) {
        FailurePolicyMessage.FAILURE_POLICY_FINISH_OTHERS -> FailurePolicy.FINISH_OTHERS
        else -> FailurePolicy.FAIL_APPLICATION
      },
    pythonEnvironment = pythonEnvironment.ifEmpty { null },
  )

private fun ServiceSpec.toMessage(): Service =
  Service
    .newBuilder()
    .setCommand(command)
    .setInstances(instances)
    .setResource(resource.toMessage())
    .putAllEnvironment(environment.mapValues { "" })
    .putAllLocalResources(localResources.mapValues { it.value.toMessage() })
    .setMaxRestarts(maxRestarts)
    .setMaxReplacements(maxReplacements)
    .setFailurePolicy(
      when (failurePolicy) {
        FailurePolicy.FAIL_APPLICATION -> FailurePolicyMessage.FAILURE_POLICY_FAIL_APPLICATION
        FailurePolicy.FINISH_OTHERS -> FailurePolicyMessage.FAILURE_POLICY_FINISH_OTHERS
      },
    ).setPythonEnvironment(pythonEnvironment.orEmpty())
    .build()

private fun LocalResourceMessage.toDomain() =
  LocalResource(
    url = url,
    sizeBytes = sizeBytes,
    modifyTimeMillis = modifyTime.toDomain().toEpochMilli(),
    type =
      when (type) {
        LocalResourceType.LOCAL_RESOURCE_TYPE_ARCHIVE -> LocalResource.Type.ARCHIVE
        else -> LocalResource.Type.FILE
      },
    visibility =
      when (visibility) {
        LocalResourceVisibility.LOCAL_RESOURCE_VISIBILITY_APPLICATION -> LocalResource.Visibility.APPLICATION
        LocalResourceVisibility.LOCAL_RESOURCE_VISIBILITY_PUBLIC -> LocalResource.Visibility.PUBLIC
        else -> LocalResource.Visibility.PRIVATE
      },
    memberNames = memberNamesList.toList(),
  )

private fun LocalResource.toMessage(): LocalResourceMessage =
  LocalResourceMessage
    .newBuilder()
    .setUrl(url)
    .setSizeBytes(sizeBytes)
    .setModifyTime(Instant.ofEpochMilli(modifyTimeMillis).toMessage())
    .setType(
      when (type) {
        LocalResource.Type.FILE -> LocalResourceType.LOCAL_RESOURCE_TYPE_FILE
        LocalResource.Type.ARCHIVE -> LocalResourceType.LOCAL_RESOURCE_TYPE_ARCHIVE
      },
    ).setVisibility(
      when (visibility) {
        LocalResource.Visibility.PRIVATE -> LocalResourceVisibility.LOCAL_RESOURCE_VISIBILITY_PRIVATE
        LocalResource.Visibility.APPLICATION -> LocalResourceVisibility.LOCAL_RESOURCE_VISIBILITY_APPLICATION
        LocalResource.Visibility.PUBLIC -> LocalResourceVisibility.LOCAL_RESOURCE_VISIBILITY_PUBLIC
      },
    ).addAllMemberNames(memberNames)
    .build()

internal fun ResourceMessage.toDomain() = Resource(memoryMib, vcores)

internal fun Resource.toMessage(): ResourceMessage =
  ResourceMessage
    .newBuilder()
    .setMemoryMib(memoryMib)
    .setVcores(vcores)
    .build()

internal fun PlaceMessage.toDomain() = PlaceKey(serviceName, rank)

internal fun Phase.toMessage(): ApplicationState =
  when (this) {
    Phase.RUNNING -> ApplicationState.APPLICATION_STATE_RUNNING
    Phase.ENDING, Phase.REPORTING -> ApplicationState.APPLICATION_STATE_ENDING
    Phase.ENDED -> ApplicationState.APPLICATION_STATE_ENDED
  }

internal fun Outcome.toMessage(): ApplicationOutcome =
  ApplicationOutcome
    .newBuilder()
    .setFinalStatus(
      when (finalStatus) {
        FinalStatus.SUCCEEDED -> FinalStatusMessage.FINAL_STATUS_SUCCEEDED
        FinalStatus.FAILED -> FinalStatusMessage.FINAL_STATUS_FAILED
        FinalStatus.KILLED -> FinalStatusMessage.FINAL_STATUS_KILLED
      },
    ).setDiagnostics(diagnostics)
    .setExitCode(exitCode)
    .build()

internal fun ShutdownRequest.toDomain(): EndApplication {
  refuseIfUnknown()
  val status =
    when (finalStatus) {
      FinalStatusMessage.FINAL_STATUS_SUCCEEDED -> FinalStatus.SUCCEEDED
      FinalStatusMessage.FINAL_STATUS_FAILED -> FinalStatus.FAILED
      else -> FinalStatus.KILLED
    }
  return EndApplication(status, diagnostics)
}

internal fun AddContainersRequest.toDomain(): AddContainers {
  refuseIfUnknown()
  return AddContainers(
    serviceName = serviceName,
    count = count,
    resource = if (hasResource()) resource.toDomain() else null,
    environment = environmentMap.toMap(),
    requestId = requestId,
    historyId = historyId,
  )
}

internal fun StopContainersRequest.toDomain(): StopContainers {
  refuseIfUnknown()
  return StopContainers(containerIdsList.toList(), placesList.map { it.toDomain() })
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
  lease?.let {
    message
      .setContainerId(it.containerId)
      .setNodeId(it.nodeId)
      .setNodeHttpAddress(it.nodeHttpAddress)
  }
  startTime?.let { message.setStartTime(it.toMessage()) }
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

private fun ExitReason.toMessage(): ExitReasonMessage =
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
  }

internal fun ContainerState.toMessage(): ContainerStateMessage =
  when (this) {
    ContainerState.REQUESTED -> ContainerStateMessage.CONTAINER_STATE_REQUESTED
    ContainerState.LAUNCHING -> ContainerStateMessage.CONTAINER_STATE_LAUNCHING
    ContainerState.RUNNING -> ContainerStateMessage.CONTAINER_STATE_RUNNING
    ContainerState.STOPPING -> ContainerStateMessage.CONTAINER_STATE_STOPPING
    ContainerState.SUCCEEDED -> ContainerStateMessage.CONTAINER_STATE_SUCCEEDED
    ContainerState.FAILED -> ContainerStateMessage.CONTAINER_STATE_FAILED
    ContainerState.STOPPED -> ContainerStateMessage.CONTAINER_STATE_STOPPED
  }

private val defaultFileNames = listOf("stdout", "stderr")

internal fun StreamLogsRequest.toDomain() =
  LogQuery(
    containerIds = containerIdsList.toSet(),
    serviceNames = serviceNamesList.toSet(),
    fileNames = fileNamesList.distinct().ifEmpty { defaultFileNames },
    follow = follow,
    tailLines = if (hasTailLines()) tailLines else null,
    positions = positionsList.associate { (it.containerId to it.fileName) to it.offsetBytes },
  )

internal fun LogFile.toMessage(): LogFileMessage =
  LogFileMessage
    .newBuilder()
    .setName(name)
    .setSizeBytes(sizeBytes)
    .build()

internal fun LogItem.toMessage(): StreamLogsResponse {
  val key = container.key
  val containerId = container.lease?.containerId.orEmpty()
  val message = StreamLogsResponse.newBuilder()
  when (val piece = piece) {
    is LogPiece.Begin -> {
      message.setBegin(
        LogBegin
          .newBuilder()
          .setContainerId(containerId)
          .setServiceName(key.place.serviceName)
          .setRank(key.place.rank)
          .setAttemptNumber(key.attemptNumber)
          .setFileName(fileName)
          .setOffsetBytes(piece.offsetBytes)
          .setIsCut(piece.isCut),
      )
    }

    is LogPiece.Chunk -> {
      message.setChunk(
        LogChunk
          .newBuilder()
          .setContainerId(containerId)
          .setServiceName(key.place.serviceName)
          .setRank(key.place.rank)
          .setAttemptNumber(key.attemptNumber)
          .setFileName(fileName)
          .setOffsetBytes(piece.offsetBytes)
          // Nobody changes a chunk once it is made, so it need not be copied.
          .setData(UnsafeByteOperations.unsafeWrap(piece.data)),
      )
    }

    is LogPiece.End -> {
      message.setEnd(
        LogEnd
          .newBuilder()
          .setContainerId(containerId)
          .setServiceName(key.place.serviceName)
          .setRank(key.place.rank)
          .setAttemptNumber(key.attemptNumber)
          .setFileName(fileName)
          .setOffsetBytes(piece.offsetBytes)
          .setIncompleteReason(piece.incompleteReason),
      )
    }
  }
  return message.build()
}

internal fun Instant.toMessage(): Timestamp =
  Timestamp
    .newBuilder()
    .setSeconds(epochSecond)
    .setNanos(nano)
    .build()

private fun Timestamp.toDomain(): Instant = Instant.ofEpochSecond(seconds, nanos.toLong())

private fun Duration.toDomain(): java.time.Duration = java.time.Duration.ofSeconds(seconds, nanos.toLong())

private fun java.time.Duration.toMessage(): Duration =
  Duration
    .newBuilder()
    .setSeconds(seconds)
    .setNanos(nano)
    .build()

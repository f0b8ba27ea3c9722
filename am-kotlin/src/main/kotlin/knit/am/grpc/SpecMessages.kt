package knit.am.grpc

import knit.am.NamedFileSystem
import knit.am.Submission
import knit.am.core.BackOff
import knit.am.core.FailurePolicy
import knit.am.core.LocalResource
import knit.am.core.Placement
import knit.am.core.Readiness
import knit.am.core.Resource
import knit.am.core.RestartBudget
import knit.am.core.ServiceSpec
import knit.am.core.UpdatePolicy
import knit.v1.ApplicationSpec
import knit.v1.LocalResourceType
import knit.v1.LocalResourceVisibility
import java.time.Instant
import knit.v1.FailurePolicy as FailurePolicyMessage
import knit.v1.LocalResource as LocalResourceMessage
import knit.v1.Resource as ResourceMessage
import knit.v1.ServiceSpec as ServiceSpecMessage

// What is submitted, as messages and as our own types.

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
    clientGrants = if (problem == null) clientGrantsList.map { it.toDomain() } else emptyList(),
    problem = problem,
    driver = if (hasDriver() && problem == null) driver.toDomain() else null,
    attemptPolicy = attemptPolicy.toDomain(),
    nodeLabel = nodeLabel.ifEmpty { null },
    accessControl = accessControl.toDomain(),
    logLevel = logLevel.toDomain(),
    annotations = if (problem == null) annotationsMap.mapValues { it.value.toDomain() } else emptyMap(),
    fileSystems = fileSystemsList.map { NamedFileSystem(it.url, it.withoutRenewer) },
    principal = principal.ifEmpty { null },
  )
}

internal fun ServiceSpecMessage.toDomain() =
  ServiceSpec(
    command = command,
    instances = instances,
    resource = resource.toDomain(),
    environment = environmentMap.toMap(),
    localResources = localResourcesMap.mapValues { it.value.toDomain() },
    failurePolicy =
      when (failurePolicy) {
        FailurePolicyMessage.FAILURE_POLICY_FINISH_OTHERS -> FailurePolicy.FINISH_OTHERS
        FailurePolicyMessage.FAILURE_POLICY_IGNORE -> FailurePolicy.IGNORE
        else -> FailurePolicy.FAIL_APPLICATION
      },
    pythonEnvironment = pythonEnvironment.ifEmpty { null },
    depends = dependsList.map { it.toDomain() },
    restartBudgets = restartBudgetsList.map { it.toDomain() }.ifEmpty { RestartBudget.DEFAULTS },
    backOff = backOff.toDomain(),
    readiness = readiness.toDomain(),
    stopGrace = if (hasStopGrace()) stopGrace.toDomain() else null,
    startsTogether = startsTogether,
    allocationLimit = if (hasAllocationLimit()) allocationLimit.toDomain() else null,
    allocationPolicy = allocationPolicy.toDomain(),
    updatePolicy = updatePolicy.toDomain(),
    access = access.toDomain(),
    scaleDownOrder = scaleDownOrder.toDomain(),
    placement = placement.toDomain(),
    resourceManagerToken = resourceManagerToken,
  )

/** As clients may see it: without the values of variables. What is as the contract has it where nothing is said is not said either. */
internal fun ServiceSpec.toMessage(): ServiceSpecMessage {
  val message = toBasicMessage()
  message
    .addAllDepends(depends.map { it.toMessage() })
    .addAllRestartBudgets(restartBudgets.map { it.toMessage() })
    .setStartsTogether(startsTogether)
    .setAllocationPolicy(allocationPolicy.toMessage())
    .setAccess(access.toMessage())
    .setScaleDownOrder(scaleDownOrder.toMessage())
    .setResourceManagerToken(resourceManagerToken)
  if (backOff != BackOff()) message.setBackOff(backOff.toMessage())
  if (readiness != Readiness()) message.setReadiness(readiness.toMessage())
  if (updatePolicy != UpdatePolicy()) message.setUpdatePolicy(updatePolicy.toMessage())
  if (placement != Placement()) message.setPlacement(placement.toMessage())
  stopGrace?.let { message.setStopGrace(it.toMessage()) }
  allocationLimit?.let { message.setAllocationLimit(it.toMessage()) }
  return message.build()
}

private fun ServiceSpec.toBasicMessage(): ServiceSpecMessage.Builder =
  ServiceSpecMessage
    .newBuilder()
    .setCommand(command)
    .setInstances(instances)
    .setResource(resource.toMessage())
    .putAllEnvironment(environment.mapValues { "" })
    .putAllLocalResources(localResources.mapValues { it.value.toMessage() })
    .setFailurePolicy(
      when (failurePolicy) {
        FailurePolicy.FAIL_APPLICATION -> FailurePolicyMessage.FAILURE_POLICY_FAIL_APPLICATION
        FailurePolicy.FINISH_OTHERS -> FailurePolicyMessage.FAILURE_POLICY_FINISH_OTHERS
        FailurePolicy.IGNORE -> FailurePolicyMessage.FAILURE_POLICY_IGNORE
      },
    ).setPythonEnvironment(pythonEnvironment.orEmpty())

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

internal fun ResourceMessage.toDomain() = Resource(memoryMib, vcores, othersMap.toSortedMap())

internal fun Resource.toMessage(): ResourceMessage =
  ResourceMessage
    .newBuilder()
    .setMemoryMib(memoryMib)
    .setVcores(vcores)
    .putAllOthers(others)
    .build()

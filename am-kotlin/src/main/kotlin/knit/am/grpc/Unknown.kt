package knit.am.grpc

import com.google.protobuf.Duration
import com.google.protobuf.Message
import com.google.protobuf.Timestamp
import knit.am.core.AmException
import knit.am.core.Reason
import knit.am.core.problemInAnnotations
import knit.v1.Access
import knit.v1.AddContainersRequest
import knit.v1.AddServicesRequest
import knit.v1.ApplicationSpec
import knit.v1.AttemptPolicy
import knit.v1.CommitRequest
import knit.v1.CompareOperator
import knit.v1.Comparison
import knit.v1.ContainerRef
import knit.v1.ContainerState
import knit.v1.DeleteOperation
import knit.v1.DeleteRequest
import knit.v1.FailurePolicy
import knit.v1.FinalStatus
import knit.v1.GrantLeaseRequest
import knit.v1.KeepLeaseRequest
import knit.v1.ListContainersRequest
import knit.v1.LocalResourceType
import knit.v1.LocalResourceVisibility
import knit.v1.LogLevel
import knit.v1.Operation
import knit.v1.Place
import knit.v1.PutOperation
import knit.v1.PutRequest
import knit.v1.RemoveServicesRequest
import knit.v1.ReportProgressRequest
import knit.v1.ReportReadyRequest
import knit.v1.RestartContainersRequest
import knit.v1.RevokeLeaseRequest
import knit.v1.ScaleDownOrder
import knit.v1.ScaleServiceRequest
import knit.v1.ShutdownRequest
import knit.v1.Spread
import knit.v1.StopContainersRequest
import knit.v1.UpdateApplicationRequest
import knit.v1.UpdateServiceRequest

// What a newer client may say and this Application Master does not understand: doing the rest of it would be another wish.
// By hand rather than by reflection, which takes as long to load as the Application Master to start.

internal fun AddContainersRequest.refuseIfUnknown() =
  refuse(unknownField("request") ?: if (hasResource()) resource.unknownField("resource") else null)

internal fun StopContainersRequest.refuseIfUnknown() = refuse(unknownField("request") ?: namedProblem(placesList, containersList))

internal fun RestartContainersRequest.refuseIfUnknown() = refuse(unknownField("request") ?: namedProblem(placesList, containersList))

private fun namedProblem(
  places: List<Place>,
  containers: List<ContainerRef>,
): String? = places.firstNotNullOfOrNull { it.unknownField("places") } ?: containers.firstNotNullOfOrNull { it.unknownField("containers") }

internal fun ReportReadyRequest.refuseIfUnknown() =
  refuse(unknownField("request") ?: if (hasContainer()) container.unknownField("container") else null)

internal fun ReportProgressRequest.refuseIfUnknown() = refuse(unknownField("request"))

internal fun UpdateApplicationRequest.refuseIfUnknown() = refuse(unknownField("request"))

internal fun ScaleServiceRequest.refuseIfUnknown() =
  refuse(
    unknownField("request")
      ?: unknownValue("order", orderValue, order == ScaleDownOrder.UNRECOGNIZED)
      ?: victimsList.firstNotNullOfOrNull { it.unknownField("victims") },
  )

internal fun AddServicesRequest.refuseIfUnknown() =
  refuse(
    unknownField("request")
      ?: servicesMap.entries.firstNotNullOfOrNull { (name, service) -> service.problem()?.let { "services.$name: $it" } },
  ).also { servicesMap.forEach { (name, service) -> service.refuseIfAgentNeeded("services.$name") } }

internal fun RemoveServicesRequest.refuseIfUnknown() = refuse(unknownField("request"))

internal fun UpdateServiceRequest.refuseIfUnknown() =
  refuse(unknownField("request") ?: if (hasSpec()) spec.problem()?.let { "spec: $it" } else null).also {
    if (hasSpec()) spec.refuseIfAgentNeeded("spec")
  }

internal fun ShutdownRequest.refuseIfUnknown() =
  refuse(
    unknownField("request")
      ?: unknownValue("final_status", finalStatusValue, finalStatus == FinalStatus.UNRECOGNIZED),
  )

internal fun PutRequest.refuseIfUnknown() = refuse(unknownField("request") ?: put.problem("put"))

internal fun DeleteRequest.refuseIfUnknown() = refuse(unknownField("request") ?: delete.problem("delete"))

internal fun CommitRequest.refuseIfUnknown() =
  refuse(
    unknownField("request")
      ?: comparisonsList.firstNotNullOfOrNull { it.problem() }
      ?: onSuccessList.firstNotNullOfOrNull { it.problem("on_success") }
      ?: onFailureList.firstNotNullOfOrNull { it.problem("on_failure") },
  )

internal fun GrantLeaseRequest.refuseIfUnknown() {
  refuse(unknownField("request") ?: timeToLive.unknownField("time_to_live"))
  if (!timeToLive.isValid()) throw AmException.InvalidArgument("time_to_live is no length of time.")
}

internal fun KeepLeaseRequest.refuseIfUnknown() = refuse(unknownField("request"))

internal fun RevokeLeaseRequest.refuseIfUnknown() = refuse(unknownField("request"))

private fun Comparison.problem(): String? =
  unknownField("comparisons")
    ?: unknownValue("comparisons.operator", operatorValue, operator == CompareOperator.UNRECOGNIZED)
    ?: if (hasOwner()) owner.unknownField("comparisons.owner") else null

private fun Operation.problem(path: String): String? =
  unknownField(path)
    ?: when (operationCase) {
      Operation.OperationCase.PUT -> put.problem("$path.put")
      Operation.OperationCase.DELETE -> delete.problem("$path.delete")
      Operation.OperationCase.RANGE -> range.unknownField("$path.range") ?: range.range.unknownField("$path.range.range")
      else -> null
    }

private fun PutOperation.problem(path: String): String? = unknownField(path) ?: if (hasOwner()) owner.unknownField("$path.owner") else null

private fun DeleteOperation.problem(path: String): String? = unknownField(path) ?: range.unknownField("$path.range")

internal fun ListContainersRequest.refuseIfUnknown() {
  val index = statesList.indexOf(ContainerState.UNRECOGNIZED)
  refuse(unknownValue("states", if (index < 0) 0 else getStatesValue(index), index >= 0))
}

/** Why the submission is not what this Application Master understands, in a sentence; null if it is. */
internal fun ApplicationSpec.problem(): String? {
  val problem =
    unknownField("the specification")
      ?: problemInLinger()
      ?: problemBesideServices()
      ?: servicesMap.entries.firstNotNullOfOrNull { (name, service) -> service.problem()?.let { "services.$name: $it" } }
      ?: servicesMap.entries.firstNotNullOfOrNull { (name, service) -> service.agentNeed()?.let { "services.$name: $it" } }
      ?: (if (hasMasterPorts()) problemInPorts() else null)
      ?: problemInGrants()
      ?: problemInAnnotations(annotationsMap.mapValues { it.value.toDomain() })
  return problem?.let { "The specification cannot be carried out: $it." }
}

private fun ApplicationSpec.problemBesideServices(): String? =
  driver.unknownField("driver")
    ?: driver.localResourcesMap.entries.firstNotNullOfOrNull { (name, file) -> file.problem()?.let { "driver.local_resources.$name: $it" } }
    ?: unknownValue("driver.access", driver.accessValue, driver.access == Access.UNRECOGNIZED)
    ?: submission.unknownField("submission")
    ?: problemInFileSystems()
    ?: accessControl.unknownField("access_control")
    ?: unknownValue("attempt_policy", attemptPolicyValue, attemptPolicy == AttemptPolicy.UNRECOGNIZED)
    ?: unknownValue("log_level", logLevelValue, logLevel == LogLevel.UNRECOGNIZED)

private fun ApplicationSpec.problemInFileSystems(): String? =
  if (fileSystemsCount > MAX_FILE_SYSTEMS) {
    "file_systems names $fileSystemsCount file systems, of at most $MAX_FILE_SYSTEMS"
  } else {
    fileSystemsList.firstNotNullOfOrNull { it.unknownField("file_systems") }
  }

private fun ApplicationSpec.problemInLinger(): String? =
  when {
    !hasLinger() -> null
    linger.unknownField("linger") != null -> linger.unknownField("linger")
    !linger.isValid() -> "linger is no length of time"
    linger.seconds < 0 || linger.nanos < 0 -> "linger is negative"
    else -> null
  }

private fun ApplicationSpec.problemInPorts(): String? {
  val ports = masterPorts
  val isRange = ports.first in 1..MAX_PORT && ports.last in ports.first..MAX_PORT
  return ports.unknownField("master_ports")
    ?: if (isRange) null else "master_ports is ${ports.first} to ${ports.last}; it must be a range within 1 to $MAX_PORT"
}

private fun knit.v1.ServiceSpec.problem(): String? =
  unknownField("the service")
    ?: unknownValue("failure_policy", failurePolicyValue, failurePolicy == FailurePolicy.UNRECOGNIZED)
    ?: resource.unknownField("resource")
    ?: placement.unknownField("placement")
    ?: unknownValue("placement.spread", placement.spreadValue, placement.spread == Spread.UNRECOGNIZED)
    ?: problemInPolicies()
    ?: localResourcesMap.entries.firstNotNullOfOrNull { (name, file) -> file.problem()?.let { "local_resources.$name: $it" } }

private fun knit.v1.LocalResource.problem(): String? =
  unknownField("the local resource")
    ?: unknownValue("type", typeValue, type == LocalResourceType.UNRECOGNIZED)
    ?: unknownValue("visibility", visibilityValue, visibility == LocalResourceVisibility.UNRECOGNIZED)
    ?: if (modifyTime.isValid()) null else "modify_time is no time"

private fun refuse(problem: String?) {
  if (problem != null) throw AmException.InvalidArgument("The request cannot be carried out: $problem.", Reason.UNKNOWN_FIELD)
}

internal fun Message.unknownField(path: String): String? =
  unknownFields
    .asMap()
    .keys
    .firstOrNull()
    ?.let { "$path has a field with number $it, which this Application Master does not know" }

internal fun unknownValue(
  path: String,
  value: Int,
  isUnknown: Boolean,
): String? = if (isUnknown) "$path is $value, a value which this Application Master does not know" else null

/** What the type allows; beyond that our own types overflow. */
private fun Timestamp.isValid() = seconds in -62_135_596_800..253_402_300_799 && nanos in 0..999_999_999

internal fun Duration.isValid() = seconds in -315_576_000_000..315_576_000_000 && nanos in -999_999_999..999_999_999

private const val MAX_PORT = 65_535

/** Tokens of each are fetched, and are renewed by the ResourceManager one by one. */
private const val MAX_FILE_SYSTEMS = 64

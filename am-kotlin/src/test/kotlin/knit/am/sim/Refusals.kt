package knit.am.sim

import knit.am.core.AddContainers
import knit.am.core.AddServices
import knit.am.core.Application
import knit.am.core.Command
import knit.am.core.KeepLease
import knit.am.core.Phase
import knit.am.core.Reason
import knit.am.core.RemoveServices
import knit.am.core.ReportReady
import knit.am.core.Resource
import knit.am.core.RestartContainers
import knit.am.core.ScaleService
import knit.am.core.UpdateAction
import knit.am.core.UpdateService
import knit.am.core.isAlive

/** Whether [reason] to refuse [command] is true of the application. */
internal fun Application.whyRefused(
  command: Command<*>,
  reason: Reason,
): Boolean =
  when (reason) {
    Reason.APPLICATION_ENDING -> phase != Phase.RUNNING
    Reason.APPLICATION_STARTING -> maxResource == null
    Reason.RESOURCE_TOO_LARGE -> resourcesOf(command).any { !it.fitsIn(checkNotNull(maxResource)) }
    Reason.SERVICE_REMOVED -> servicesOf(command).any { services.getValue(it).isRemoved }
    Reason.UPDATE_UNDER_WAY -> services.getValue((command as UpdateService).serviceName).update != null
    Reason.NO_UPDATE -> services.getValue((command as UpdateService).serviceName).update == null
    Reason.TOO_MANY_REVISIONS -> specs.getValue((command as UpdateService).serviceName).size >= MAX_REVISIONS
    Reason.SERVICE_NEEDED -> command is RemoveServices && services.values.any { it.isWaitingFor(command.serviceNames, this) }
    Reason.CONTAINER_ENDED -> isOfEnded(command)
    Reason.NO_SUCH_LEASE -> command is KeepLease && command.leaseId !in keyLeases
    else -> false
  }

private const val MAX_REVISIONS = 8

private fun knit.am.core.Service.isWaitingFor(
  others: List<String>,
  application: Application,
) = name !in others && !isRemoved && !hasBegun && application.spec(name).depends.any { it.serviceName in others }

/** Of what is to be readied or restarted, whether it has ended, or its rank is filled no more. */
private fun Application.isOfEnded(command: Command<*>): Boolean =
  when (command) {
    is ReportReady -> container(command.container)?.isAlive != true
    is RestartContainers -> servicesOf(command).any { name -> slots.getValue(name).any { it.isRetired } }
    else -> false
  }

private fun Application.servicesOf(command: Command<*>): List<String> =
  when (command) {
    is AddContainers -> {
      listOf(command.serviceName)
    }

    is ScaleService -> {
      listOf(command.serviceName)
    }

    is UpdateService -> {
      listOf(command.serviceName)
    }

    is RestartContainers -> {
      with(command.named) {
        serviceNames + places.map { it.serviceName } + containers.map { it.serviceName } +
          containerIds.mapNotNull { container(it)?.key?.place?.serviceName }
      }
    }

    else -> {
      emptyList()
    }
  }

private fun Application.resourcesOf(command: Command<*>): List<Resource> =
  when (command) {
    is AddContainers -> listOf(command.resource ?: spec(command.serviceName).resource)
    is ScaleService -> listOf(spec(command.serviceName).resource)
    is AddServices -> command.services.values.map { it.resource }
    is UpdateService -> listOfNotNull((command.action as? UpdateAction.Pass)?.spec?.resource)
    else -> emptyList()
  }

package knit.am.grpc

import knit.am.AmException
import knit.am.ApplicationLoop
import knit.am.core.AddContainers
import knit.am.core.Application
import knit.am.core.Container
import knit.am.core.StopContainers
import knit.am.core.Transition
import knit.v1.AddContainersRequest
import knit.v1.AddContainersResponse
import knit.v1.ContainerServiceGrpcKt
import knit.v1.ListContainersRequest
import knit.v1.ListContainersResponse
import knit.v1.StopContainersRequest
import knit.v1.StopContainersResponse

/** Lists, adds and stops containers. */
internal class ContainerGrpcService(
  private val loop: ApplicationLoop,
) : ContainerServiceGrpcKt.ContainerServiceCoroutineImplBase() {
  override suspend fun listContainers(request: ListContainersRequest): ListContainersResponse {
    val states = request.statesList.toSet()
    val containers =
      loop.snapshots.value
        .containersOf(request.serviceNamesList)
        .map { it.toMessage() }
        .filter { states.isEmpty() || it.state in states }
    return ListContainersResponse.newBuilder().addAllContainers(containers.asIterable()).build()
  }

  override suspend fun addContainers(request: AddContainersRequest): AddContainersResponse {
    val event =
      AddContainers(
        serviceName = request.serviceName,
        count = request.count,
        resource = if (request.hasResource()) request.resource.toDomain() else null,
        environment = request.environmentMap.toMap(),
        requestId = request.requestId,
      )
    val added = loop.request(event).containers().map { it.toMessage() }
    return AddContainersResponse.newBuilder().addAllContainers(added).build()
  }

  override suspend fun stopContainers(request: StopContainersRequest): StopContainersResponse {
    val event = StopContainers(request.containerIdsList.toList(), request.placesList.map { it.toDomain() })
    val stopped = loop.request(event).containers().map { it.toMessage() }
    return StopContainersResponse.newBuilder().addAllContainers(stopped).build()
  }

  private fun Transition.containers(): List<Container> = subjects.mapNotNull { application.container(it) }

  private fun Application.containersOf(serviceNames: List<String>): Sequence<Container> {
    if (serviceNames.isEmpty()) return containers
    serviceNames.firstOrNull { it !in services }?.let {
      throw AmException.NotFound("No service is called '$it'. The application has: ${services.keys.joinToString()}.")
    }
    return serviceNames.toSortedSet().asSequence().flatMap { containersOf(it) }
  }
}

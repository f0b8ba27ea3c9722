package knit.am.grpc

import knit.am.ApplicationLoop
import knit.am.core.AmException
import knit.am.core.Phase
import knit.am.core.Reason
import knit.am.core.Role
import knit.am.core.WaitingReason
import knit.am.security.TokenDescription
import knit.am.security.callerOf
import knit.v1.AddServicesRequest
import knit.v1.AddServicesResponse
import knit.v1.ApplicationServiceGrpcKt
import knit.v1.GetApplicationRequest
import knit.v1.GetApplicationResponse
import knit.v1.ListServicesRequest
import knit.v1.ListServicesResponse
import knit.v1.RemoveServicesRequest
import knit.v1.RemoveServicesResponse
import knit.v1.ReportProgressRequest
import knit.v1.ReportProgressResponse
import knit.v1.ScaleServiceRequest
import knit.v1.ScaleServiceResponse
import knit.v1.ShutdownRequest
import knit.v1.ShutdownResponse
import knit.v1.UpdateApplicationRequest
import knit.v1.UpdateApplicationResponse
import knit.v1.UpdateServiceRequest
import knit.v1.UpdateServiceResponse

/**
 * Describes the application, changes its services, and ends it.
 *
 * @param document what was submitted, of which the annotations change
 * @param waitingReasons why containers that are wanted have not been granted
 * @param tokens what is known of the tokens that it holds
 * @param release called when a client needs nothing more of an application that has ended
 */
internal class ApplicationGrpcService(
  private val document: SubmissionDocument,
  private val loop: ApplicationLoop,
  private val waitingReasons: () -> List<WaitingReason>,
  private val tokens: () -> List<TokenDescription>,
  private val release: () -> Unit,
) : ApplicationServiceGrpcKt.ApplicationServiceCoroutineImplBase() {
  override suspend fun getApplication(request: GetApplicationRequest): GetApplicationResponse {
    val caller = callerOf()
    val application = loop.snapshots.value
    if (application.startTime == null) {
      throw AmException.Unavailable(
        "The Application Master is still registering with YARN. Call again in a second.",
        Reason.APPLICATION_STARTING,
      )
    }
    return GetApplicationResponse
      .newBuilder()
      .setApplication(application.toMessage())
      .setSpec(if (request.withValues) document.withValues(caller, application.annotations) else document.withoutValues)
      .setCallerRole(caller.role.toMessage())
      .setHistoryId(application.historyId)
      .setSequence(application.sequence)
      .setVersion(version)
      .addAllFeatures(features)
      .addAllWaitingReasons(application.reasons(waitingReasons()).map { it.toMessage() })
      .addAllTokens(if (caller.role == Role.VIEWER) emptyList() else tokens().map { it.toMessage() })
      .build()
  }

  override suspend fun updateApplication(request: UpdateApplicationRequest): UpdateApplicationResponse {
    val sequence = loop.request(request.toDomain())
    return UpdateApplicationResponse.newBuilder().setSequence(sequence).build()
  }

  override suspend fun reportProgress(request: ReportProgressRequest): ReportProgressResponse {
    loop.request(request.toDomain())
    return ReportProgressResponse.getDefaultInstance()
  }

  override suspend fun listServices(request: ListServicesRequest): ListServicesResponse = loop.snapshots.value.pageOf(request)

  override suspend fun shutdown(request: ShutdownRequest): ShutdownResponse {
    val hadEnded = loop.snapshots.value.phase == Phase.ENDED
    val application = loop.request(request.toDomain())
    if (hadEnded) release()
    val response = ShutdownResponse.newBuilder().setState(application.phase.toMessage())
    application.outcome?.let { response.setOutcome(it.toMessage()) }
    return response.build()
  }

  override suspend fun scaleService(request: ScaleServiceRequest): ScaleServiceResponse {
    val scaled = loop.request(request.toDomain())
    return ScaleServiceResponse
      .newBuilder()
      .setService(loop.snapshots.value.serviceMessage(scaled.service.name))
      .addAllAdded(scaled.added.map { it.toMessage() })
      .addAllStopped(scaled.stopped.withinOneAnswer())
      .setSequence(scaled.sequence)
      .build()
  }

  override suspend fun addServices(request: AddServicesRequest): AddServicesResponse {
    val changed = loop.request(request.toDomain(callerOf()))
    val application = loop.snapshots.value
    return AddServicesResponse
      .newBuilder()
      .addAllServices(changed.services.map { application.serviceMessage(it.name) })
      .setSequence(changed.sequence)
      .build()
  }

  override suspend fun removeServices(request: RemoveServicesRequest): RemoveServicesResponse {
    val changed = loop.request(request.toDomain())
    val application = loop.snapshots.value
    return RemoveServicesResponse
      .newBuilder()
      .addAllServices(changed.services.map { application.serviceMessage(it.name) })
      .setSequence(changed.sequence)
      .build()
  }

  override suspend fun updateService(request: UpdateServiceRequest): UpdateServiceResponse {
    val changed = loop.request(request.toDomain(callerOf()))
    return UpdateServiceResponse
      .newBuilder()
      .setService(loop.snapshots.value.serviceMessage(changed.services.single().name))
      .setSequence(changed.sequence)
      .build()
  }

  private companion object {
    /** Clients ask for these by name; they are never renamed. */
    val features = listOf("annotations", "driver", "events", "key_value", "services")

    /** The jar's, which its manifest has; none where the classes are in no jar, as in tests. */
    val version: String = ApplicationGrpcService::class.java.`package`?.implementationVersion ?: "unknown"
  }
}

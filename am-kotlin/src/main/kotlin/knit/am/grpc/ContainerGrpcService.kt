package knit.am.grpc

import knit.am.ApplicationLoop
import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Container
import knit.am.core.Reason
import knit.am.core.noSuchService
import knit.am.security.callerOf
import knit.v1.AddContainersRequest
import knit.v1.AddContainersResponse
import knit.v1.ContainerServiceGrpcKt
import knit.v1.ListContainersRequest
import knit.v1.ListContainersResponse
import knit.v1.ReportReadyRequest
import knit.v1.ReportReadyResponse
import knit.v1.RestartContainersRequest
import knit.v1.RestartContainersResponse
import knit.v1.StopContainersRequest
import knit.v1.StopContainersResponse

/** Lists, adds, stops and restarts containers, and hears when they are ready. */
internal class ContainerGrpcService(
  private val loop: ApplicationLoop,
) : ContainerServiceGrpcKt.ContainerServiceCoroutineImplBase() {
  override suspend fun listContainers(request: ListContainersRequest): ListContainersResponse = loop.snapshots.value.pageOf(request)

  override suspend fun addContainers(request: AddContainersRequest): AddContainersResponse {
    val added = loop.request(request.toDomain(callerOf())).map { it.toMessage() }
    return AddContainersResponse.newBuilder().addAllContainers(added).build()
  }

  override suspend fun stopContainers(request: StopContainersRequest): StopContainersResponse {
    val stopped = loop.request(request.toDomain(callerOf()))
    return StopContainersResponse.newBuilder().addAllContainers(stopped.withinOneAnswer()).build()
  }

  override suspend fun restartContainers(request: RestartContainersRequest): RestartContainersResponse {
    val restarted = loop.request(request.toDomain())
    return RestartContainersResponse
      .newBuilder()
      .addAllContainers(restarted.containers.withinOneAnswer())
      .setSequence(restarted.sequence)
      .build()
  }

  override suspend fun reportReady(request: ReportReadyRequest): ReportReadyResponse {
    val sequence = loop.request(request.toDomain(callerOf()))
    return ReportReadyResponse.newBuilder().setSequence(sequence).build()
  }
}

/** gRPC's clients take 4 MiB unless they are told otherwise; some of it is for what stands around the containers. */
internal const val MAX_ANSWER_BYTES = 4 * 1024 * 1024 - 4_096

/** What a message of this size takes within another one: its tag and its length. */
internal const val FIELD_BYTES = 6

/** The page of containers that [request] asks for. */
internal fun Application.pageOf(request: ListContainersRequest): ListContainersResponse {
  request.refuseIfUnknown()
  if (request.pageSize < 0) throw AmException.InvalidArgument("page_size is ${request.pageSize}; it must be 0 or more.")
  val states = request.statesList.toSet()
  val most = if (request.pageSize == 0) Int.MAX_VALUE else request.pageSize
  val page = ListContainersResponse.newBuilder().setHistoryId(historyId).setSequence(sequence)
  var bytes = 0
  val wanted =
    containersOf(request.serviceNamesList, PageToken.of(request.pageToken, historyId)).filter {
      states.isEmpty() ||
        it.state.toMessage() in states
    }
  for (container in wanted) {
    val message = container.toMessage()
    bytes += message.serializedSize + FIELD_BYTES
    val last = page.containersList.lastOrNull()
    if (last != null && (page.containersCount == most || bytes > MAX_ANSWER_BYTES)) {
      return page.setNextPageToken(PageToken.after(last, historyId)).build()
    }
    page.addContainers(message)
  }
  return page.build()
}

/** The containers of the services, in the contract's order, after [token]. */
private fun Application.containersOf(
  serviceNames: List<String>,
  token: PageToken?,
): Sequence<Container> {
  serviceNames.firstOrNull { it !in services }?.let { throw noSuchService(it) }
  val names = serviceNames.ifEmpty { this.serviceNames }.toSortedSet()
  if (token == null) return names.asSequence().flatMap { containersOf(it) }
  return names.tailSet(token.serviceName).asSequence().flatMap { name ->
    if (name != token.serviceName) {
      containersOf(name)
    } else {
      containersOf(name, token.rank).filter { it.key.place.rank > token.rank || it.key.attemptNumber > token.attemptNumber }
    }
  }
}

/** The container that the last page ended with, and the history that this was one of. */
private class PageToken private constructor(
  val serviceName: String,
  val rank: Int,
  val attemptNumber: Int,
) {
  companion object {
    private val form = Regex("""([^ ]*) ([^ ]+) (\d{1,9}) (\d{1,9})""")

    fun after(
      last: knit.v1.Container,
      historyId: String,
    ) = "$historyId ${last.serviceName} ${last.rank} ${last.attemptNumber}"

    fun of(
      text: String,
      historyId: String,
    ): PageToken? {
      if (text.isEmpty()) return null
      val (history, serviceName, rank, attemptNumber) =
        form.matchEntire(text)?.destructured ?: throw AmException.InvalidArgument("page_token is none of this call's. Begin without one.")
      if (history != historyId) {
        throw AmException.OutOfRange(
          "The Application Master has been replaced: page_token belongs to history $history. Begin without one.",
          Reason.HISTORY_LOST,
          mapOf("history_id" to historyId),
        )
      }
      return PageToken(serviceName, rank.toInt(), attemptNumber.toInt())
    }
  }
}

/** As messages; those that would not fit are without their diagnostics, which a list of the containers has. */
internal fun List<Container>.withinOneAnswer(): List<knit.v1.Container> {
  var bytes = 0
  return map { container ->
    val message = container.toMessage()
    val size = message.serializedSize + FIELD_BYTES
    val fits = bytes + size <= MAX_ANSWER_BYTES / 2
    val kept = if (fits || !message.hasExit()) message else message.toBuilder().apply { exitBuilder.clearDiagnostics() }.build()
    bytes += if (fits) size else 0
    kept
  }
}

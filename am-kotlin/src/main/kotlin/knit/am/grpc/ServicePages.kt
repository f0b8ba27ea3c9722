package knit.am.grpc

import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Reason
import knit.am.core.serviceOrRefuse
import knit.v1.ListServicesRequest
import knit.v1.ListServicesResponse
import java.util.NavigableSet
import java.util.TreeSet

/** The page of services that [request] asks for, removed ones included. */
internal fun Application.pageOf(request: ListServicesRequest): ListServicesResponse {
  if (request.pageSize < 0) throw AmException.InvalidArgument("page_size is ${request.pageSize}; it must be 0 or more.")
  request.serviceNamesList.forEach { serviceOrRefuse(it) }
  val most = if (request.pageSize == 0) Int.MAX_VALUE else request.pageSize
  val page = ListServicesResponse.newBuilder().setHistoryId(historyId).setSequence(sequence)
  var bytes = 0
  for (name in namesAfter(request.pageToken, TreeSet(request.serviceNamesList.ifEmpty { serviceNames }))) {
    val last = page.servicesList.lastOrNull()
    val message = if (page.servicesCount < most) serviceMessage(name) else null
    bytes += message?.let { it.serializedSize + FIELD_BYTES } ?: 0
    // One that is larger than a page comes alone.
    if (last != null && (message == null || bytes > MAX_ANSWER_BYTES)) {
      return page.setNextPageToken("$historyId ${last.name}").build()
    }
    page.addServices(message)
  }
  return page.build()
}

private val serviceToken = Regex("""([^ ]*) ([^ ]+)""")

/** Of [names] those after the one that the page before ended with, which may be none of them any more. */
private fun Application.namesAfter(
  token: String,
  names: NavigableSet<String>,
): Set<String> {
  if (token.isEmpty()) return names
  val (history, last) =
    serviceToken.matchEntire(token)?.destructured
      ?: throw AmException.InvalidArgument("page_token is none of this call's. Begin without one.")
  if (history != historyId) {
    throw AmException.OutOfRange(
      "The Application Master has been replaced: page_token belongs to history $history. Begin without one.",
      Reason.HISTORY_LOST,
      mapOf("history_id" to historyId),
    )
  }
  return names.tailSet(last, false)
}

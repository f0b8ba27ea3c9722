package knit.am.grpc

import com.google.protobuf.Duration
import com.google.protobuf.UnknownFieldSet
import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Caller
import knit.am.core.ContainerRef
import knit.am.core.Dependency
import knit.am.core.HISTORY
import knit.am.core.NOW
import knit.am.core.Named
import knit.am.core.PlaceKey
import knit.am.core.Reason
import knit.am.core.RemoveServices
import knit.am.core.ReportProgress
import knit.am.core.ReportReady
import knit.am.core.RestartContainers
import knit.am.core.Role
import knit.am.core.WaitingReason
import knit.am.core.after
import knit.am.core.completed
import knit.am.core.granted
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.v1.AddServicesRequest
import knit.v1.ApplicationSpec
import knit.v1.ExitReason
import knit.v1.ListContainersRequest
import knit.v1.ListServicesRequest
import knit.v1.Place
import knit.v1.Probe
import knit.v1.Readiness
import knit.v1.ReportProgressRequest
import knit.v1.ReportReadyRequest
import knit.v1.RestartBudget
import knit.v1.RestartContainersRequest
import knit.v1.Service
import knit.v1.ServiceCondition
import knit.v1.ServiceSpec
import knit.v1.UpdateServiceRequest
import knit.v1.WaitingCause
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import knit.am.core.WaitingCause as CoreCause
import knit.v1.ContainerRef as ContainerRefMessage

/** What is told of services and of progress, and what is asked of containers. */
class ServiceCallsTest {
  private fun Application.pages(request: ListServicesRequest.Builder = ListServicesRequest.newBuilder()): List<List<Service>> {
    val pages = mutableListOf<List<Service>>()
    do {
      val page = pageOf(request.build())
      assertEquals(HISTORY to sequence, page.historyId to page.sequence)
      pages += page.servicesList
      request.pageToken = page.nextPageToken
    } while (page.nextPageToken.isNotEmpty())
    return pages
  }

  private val four = registered(*listOf("d", "a", "c", "b").map { it to service() }.toTypedArray())

  @Test
  fun pagesAreTheListByNameCutAnywhere() {
    for (size in 0..5) {
      val pages = four.pages(ListServicesRequest.newBuilder().setPageSize(size))
      assertEquals(listOf("a", "b", "c", "d"), pages.flatten().map { it.name }, "pages of $size")
      assertTrue(size == 0 || pages.dropLast(1).all { it.size == size })
      assertTrue(pages.last().isNotEmpty())
    }
    val named = ListServicesRequest.newBuilder().addAllServiceNames(listOf("d", "b", "d"))
    assertEquals(listOf("b", "d"), four.pages(named.setPageSize(1)).flatten().map { it.name })
    assertEquals(four.sequence, four.pageOf(ListContainersRequest.getDefaultInstance()).sequence)
  }

  @Test
  fun aPageOfServicesEndsBefore4MiB() {
    val large = mapOf("TEXT" to "", "N".repeat(90_000) to "")
    val many = registered(*(10 until 100).map { "s$it" to service(instances = 0, environment = large) }.toTypedArray())
    val request = ListServicesRequest.newBuilder()
    val names = mutableListOf<String>()
    var count = 0
    do {
      val page = many.pageOf(request.build())
      assertTrue(page.serializedSize < 4 * 1024 * 1024, "${page.serializedSize}")
      names += page.servicesList.map { it.name }
      count++
      request.pageToken = page.nextPageToken
    } while (page.nextPageToken.isNotEmpty())
    assertEquals((10 until 100).map { "s$it" }, names)
    assertEquals(2, count)
  }

  @Test
  fun whatNoPageIsOfIsRefused() {
    val lost = assertThrows<AmException.OutOfRange> { four.pageOf(ListServicesRequest.newBuilder().setPageToken("another a").build()) }
    assertEquals(Reason.HISTORY_LOST, lost.reason)
    for (token in listOf("x", "$HISTORY a 0 1", "$HISTORY ")) {
      assertThrows<AmException.InvalidArgument>(token) { four.pageOf(ListServicesRequest.newBuilder().setPageToken(token).build()) }
    }
    assertThrows<AmException.InvalidArgument> { four.pageOf(ListServicesRequest.newBuilder().setPageSize(-1).build()) }
    val nobody = assertThrows<AmException.NotFound> { four.pageOf(ListServicesRequest.newBuilder().addServiceNames("x").build()) }
    assertEquals(Reason.NO_SUCH_SERVICE, nobody.reason)
  }

  @Test
  fun aServiceSaysHowItDoesAndWhatItWaitsFor() {
    val waiting = registered("db" to service(), "web" to service(instances = 2, depends = listOf(Dependency("db"))))
    val (db, web) = waiting.pages().single()
    assertEquals(ServiceCondition.SERVICE_CONDITION_STARTING, db.condition)
    assertEquals(ServiceCondition.SERVICE_CONDITION_PENDING, web.condition)
    val reason = web.waitingReasonsList.single()
    assertEquals(WaitingCause.WAITING_CAUSE_DEPENDENCY to 2, reason.cause to reason.count)
    assertEquals("db", reason.factsMap["dependency"])
    assertTrue(db.waitingReasonsList.isEmpty())

    val gang = registered("worker" to service(instances = 2).copy(startsTogether = true)).after(granted(1))
    val held = gang.serviceMessage("worker").waitingReasonsList.single()
    assertEquals(WaitingCause.WAITING_CAUSE_GANG to 1, held.cause to held.count)

    val removed = four.after(RemoveServices(listOf("b"))).pages().single()
    assertEquals(ServiceCondition.SERVICE_CONDITION_REMOVED, removed[1].condition)
  }

  @Test
  fun soManyReasonsAreToldAndNoMore() {
    val waiting = (1..100).map { "web$it" to service(depends = listOf(Dependency("db"))) }
    val application = registered("db" to service(), *waiting.toTypedArray())
    val further = List(100) { WaitingReason("db", 1, null, CoreCause.CAPACITY, "Reason $it.", since = NOW) }
    assertEquals(List(64) { CoreCause.DEPENDENCY }, application.reasons(further).map { it.cause }, "what is decided here comes first")
    assertEquals(further.take(64), four.reasons(further))
    val service = four.services.getValue("a").copy(waits = further)
    assertEquals(64, four.toMessage(service).waitingReasonsCount)
    assertEquals("Reason 0.", four.toMessage(service).getWaitingReasons(0).explanation)
  }

  @Test
  fun aReportOfReadinessIsOfTheCallerUnlessItMayAndSaysAnother() {
    val own = ContainerRef("worker", 3)
    val other = ReportReadyRequest.newBuilder().setContainer(ContainerRefMessage.newBuilder().setServiceName("worker").setOrdinal(4))
    val container = Caller(Role.CONTAINER, own)
    assertEquals(ReportReady(own, true), ReportReadyRequest.getDefaultInstance().toDomain(container))
    val not = ReportReadyRequest.newBuilder().setIsNotReady(true).build()
    assertEquals(ReportReady(own, false), not.toDomain(container))
    val refused = assertThrows<AmException.PermissionDenied> { other.build().toDomain(container) }
    assertEquals(Reason.NOT_YOURSELF, refused.reason)
    assertEquals(ReportReady(ContainerRef("worker", 4), true), other.build().toDomain(Caller(Role.OPERATOR, own)))
    assertEquals(ReportReady(ContainerRef("worker", 4), true), other.build().toDomain(Caller(Role.OWNER)))
    assertThrows<AmException.InvalidArgument> { not.toDomain(Caller(Role.OWNER)) }
  }

  @Test
  fun aRestartNamesContainersInEveryWay() {
    val request =
      RestartContainersRequest
        .newBuilder()
        .addContainerIds("container_1")
        .addPlaces(Place.newBuilder().setServiceName("worker").setRank(2))
        .addContainers(ContainerRefMessage.newBuilder().setServiceName("worker").setOrdinal(7))
        .addServiceNames("web")
        .setRequestId("one")
        .setHistoryId(HISTORY)
    val named = Named(listOf("container_1"), listOf(PlaceKey("worker", 2)), listOf(ContainerRef("worker", 7)), listOf("web"))
    assertEquals(RestartContainers(named, "one", HISTORY), request.build().toDomain())
  }

  @Test
  fun progressIsThePartThatHasEndedUnlessReported() {
    val half = registered("worker" to service(instances = 2)).after(granted(1), started(1), completed(1))
    assertEquals(0.5 to false, half.toMessage().let { it.progress to it.isProgressReported })
    val said =
      half.after(
        ReportProgressRequest
          .newBuilder()
          .setProgress(0.0)
          .build()
          .toDomain(),
      )
    assertEquals(0.0 to true, said.toMessage().let { it.progress to it.isProgressReported })
    assertEquals(ReportProgress(null), ReportProgressRequest.getDefaultInstance().toDomain())
  }

  @Test
  fun whatNeedsAnAgentIsRefusedAndSaysSo() {
    val probe = Probe.newBuilder().setTcpPort(80)
    val specs =
      listOf(
        "liveness" to ServiceSpec.newBuilder().setLiveness(probe).build(),
        "readiness.probe" to ServiceSpec.newBuilder().setReadiness(Readiness.newBuilder().setProbe(probe)).build(),
      )
    for ((words, spec) in specs) {
      val problem =
        ApplicationSpec
          .newBuilder()
          .putServices("web", spec)
          .build()
          .problem()
          .orEmpty()
      assertTrue("services.web: $words" in problem && "NEEDS_AGENT" in problem, problem)
      val calls =
        listOf<() -> Any>(
          {
            AddServicesRequest
              .newBuilder()
              .putServices("web", spec)
              .build()
              .toDomain(Caller(Role.OWNER))
          },
          {
            UpdateServiceRequest
              .newBuilder()
              .setSpec(spec)
              .build()
              .toDomain(Caller(Role.OWNER))
          },
        )
      for (call in calls) assertEquals(Reason.NEEDS_AGENT, assertThrows<AmException.InvalidArgument> { call() }.reason)
    }
    assertNull(
      ServiceSpec
        .newBuilder()
        .setReadiness(Readiness.newBuilder().setIsReported(true))
        .build()
        .agentNeed(),
    )
  }

  @Test
  fun whatIsNotKnownOfPoliciesOrRequestsIsRefusedWithItsPath() {
    val newer =
      UnknownFieldSet
        .newBuilder()
        .addField(
          99,
          UnknownFieldSet.Field
            .newBuilder()
            .addVarint(1)
            .build(),
        ).build()
    val endless = Duration.newBuilder().setSeconds(Long.MAX_VALUE)
    val specs =
      mapOf(
        "access is 9" to ServiceSpec.newBuilder().setAccessValue(9),
        "readiness has a field" to ServiceSpec.newBuilder().setReadiness(Readiness.newBuilder().setUnknownFields(newer)),
        "restart_budgets[0].reasons is 99" to ServiceSpec.newBuilder().addRestartBudgets(RestartBudget.newBuilder().addReasonsValue(99)),
        "restart_budgets[0].reasons is 0" to ServiceSpec.newBuilder().addRestartBudgets(RestartBudget.newBuilder().addReasonsValue(0)),
        "restart_budgets[0].window is no length" to
          ServiceSpec.newBuilder().addRestartBudgets(
            RestartBudget.newBuilder().addReasons(ExitReason.EXIT_REASON_EXITED).setWindow(endless),
          ),
        "stop_grace is no length" to ServiceSpec.newBuilder().setStopGrace(endless),
      )
    for ((words, spec) in specs) {
      val problem = spec.build().problemInPolicies().orEmpty()
      assertTrue(words in problem, "'$words' in '$problem'")
    }
    assertNull(ServiceSpec.getDefaultInstance().problemInPolicies())
    val ref = ContainerRefMessage.newBuilder().setUnknownFields(newer)
    val calls =
      listOf<() -> Any>(
        {
          RestartContainersRequest
            .newBuilder()
            .setUnknownFields(newer)
            .build()
            .toDomain()
        },
        {
          RestartContainersRequest
            .newBuilder()
            .addContainers(ref)
            .build()
            .toDomain()
        },
        {
          ReportReadyRequest
            .newBuilder()
            .setContainer(ref)
            .build()
            .toDomain(Caller(Role.OWNER))
        },
        {
          ReportProgressRequest
            .newBuilder()
            .setUnknownFields(newer)
            .build()
            .toDomain()
        },
      )
    for (call in calls) assertEquals(Reason.UNKNOWN_FIELD, assertThrows<AmException> { call() }.reason)
    assertFalse(ServiceSpec.getDefaultInstance().hasLiveness())
  }
}

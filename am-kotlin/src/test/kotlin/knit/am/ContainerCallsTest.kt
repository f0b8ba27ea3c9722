package knit.am

import com.google.protobuf.ByteString
import io.grpc.Channel
import io.grpc.Status
import knit.am.core.Access
import knit.am.core.Readiness
import knit.am.core.ServiceSpec
import knit.am.core.service
import knit.am.yarn.LaunchSpec
import knit.v1.ApplicationServiceGrpcKt.ApplicationServiceCoroutineStub
import knit.v1.ContainerRef
import knit.v1.ContainerServiceGrpcKt.ContainerServiceCoroutineStub
import knit.v1.ContainerState
import knit.v1.GetApplicationRequest
import knit.v1.GetApplicationResponse
import knit.v1.ListContainersRequest
import knit.v1.ListServicesRequest
import knit.v1.ReportProgressRequest
import knit.v1.ReportReadyRequest
import knit.v1.RestartContainersRequest
import knit.v1.Role
import knit.v1.ShutdownRequest
import knit.v1.StopContainersRequest
import knit.v1.UpdateApplicationRequest
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Path

/** What a container may, with nothing but the files that its launch writes: the whole Application Master over real mutual TLS. */
@Timeout(60)
class ContainerCallsTest {
  @TempDir
  lateinit var logDirectory: Path

  private val inside by lazy { InsideCalls(logDirectory) }

  @AfterEach
  fun close() = inside.close()

  private suspend fun connect(role: knit.am.core.Role): ApplicationServiceCoroutineStub = inside.connect(role)

  private fun connect(files: Map<String, String>): Channel = inside.connect(files)

  private suspend fun refusal(call: suspend () -> Any): Pair<Status.Code, String> = inside.refusal(call)

  private suspend fun Channel.application(withValues: Boolean = false): GetApplicationResponse =
    ApplicationServiceCoroutineStub(this).getApplication(GetApplicationRequest.newBuilder().setWithValues(withValues).build())

  private suspend fun Channel.stop(containerId: String) =
    ContainerServiceCoroutineStub(this).stopContainers(StopContainersRequest.newBuilder().addContainerIds(containerId).build())

  private fun with(
    services: Map<String, ServiceSpec>,
    test: suspend (Map<String, LaunchSpec>) -> Unit,
  ) = runBlocking(Dispatchers.Default) {
    coroutineScope {
      val outcome = async { inside.master(services).run() }
      try {
        inside.published.await()
        val count = services.values.sumOf { it.instances }
        withTimeout(20_000) { while (inside.nodeManager.launched.size < count) delay(20) }
        test(inside.nodeManager.launched.toMap())
      } finally {
        outcome.cancel()
      }
    }
  }

  @Test
  fun aContainerLooksAndStopsItselfAndNothingElse() =
    with(
      mapOf("worker" to service(instances = 2), "other" to service(instances = 1).copy(environment = mapOf("SECRET" to "hunter2"))),
    ) { launched ->
      val (own, other) = launched.entries.filter { it.value.environment["KNIT_SERVICE_NAME"] == "worker" }.toList()
      val container = connect(own.value.credentials)
      val description = container.application()
      assertEquals(Role.ROLE_CONTAINER, description.callerRole)
      assertEquals("application_1_0001", own.value.credentials["application_id"])
      val listed = ContainerServiceCoroutineStub(container).listContainers(ListContainersRequest.getDefaultInstance())
      assertEquals(3, listed.containersCount)

      val shutdown = refusal { ApplicationServiceCoroutineStub(container).shutdown(ShutdownRequest.getDefaultInstance()) }
      assertEquals(Status.Code.PERMISSION_DENIED to "PERMISSION_DENIED", shutdown)
      assertEquals(Status.Code.PERMISSION_DENIED to "NOT_YOURSELF", refusal { container.stop(other.key) })
      val shown = container.application(withValues = true).spec
      assertEquals(mapOf("SECRET" to ""), shown.servicesMap.getValue("other").environmentMap)

      val stopped = container.stop(own.key).getContainers(0)
      assertEquals(ContainerState.CONTAINER_STATE_STOPPING, stopped.state)
      inside.resourceManager.complete(own.key)
      withTimeout(20_000) { while (refusal { container.application() } != Status.Code.UNAUTHENTICATED to "CONTAINER_ENDED") delay(20) }
      assertEquals(Role.ROLE_CONTAINER, connect(other.value.credentials).application().callerRole)
    }

  @Test
  fun whatAServiceGivesItsContainersTheyMay() =
    with(
      mapOf(
        "plain" to service(instances = 1).copy(environment = mapOf("SECRET" to "hunter2")),
        "boss" to service(instances = 1).copy(access = Access.OWNER),
        "deputy" to service(instances = 1).copy(access = Access.OPERATOR),
      ),
    ) { launched ->
      val byService = launched.values.associateBy { it.environment.getValue("KNIT_SERVICE_NAME") }
      val idOf = launched.entries.associate { it.value.environment.getValue("KNIT_SERVICE_NAME") to it.key }
      val (plain, deputy, boss) = listOf("plain", "deputy", "boss").map { connect(byService.getValue(it).credentials) }
      assertEquals(Role.ROLE_OPERATOR, deputy.application().callerRole)
      assertEquals(Role.ROLE_OWNER, boss.application().callerRole)
      // Its own service's values, and no more; an owner's are all.
      assertEquals(
        "hunter2",
        plain
          .application(withValues = true)
          .spec.servicesMap
          .getValue("plain")
          .environmentMap["SECRET"],
      )
      assertEquals(
        "",
        deputy
          .application(withValues = true)
          .spec.servicesMap
          .getValue("plain")
          .environmentMap["SECRET"],
      )
      assertEquals(
        "hunter2",
        boss
          .application(withValues = true)
          .spec.servicesMap
          .getValue("plain")
          .environmentMap["SECRET"],
      )
      assertTrue(deputy.stop(idOf.getValue("plain")).containersCount == 1)
      assertEquals(
        Status.Code.PERMISSION_DENIED,
        refusal {
          ApplicationServiceCoroutineStub(deputy).shutdown(ShutdownRequest.getDefaultInstance())
        }.first,
      )
      assertEquals(Status.Code.OK, refusal { ApplicationServiceCoroutineStub(boss).shutdown(ShutdownRequest.getDefaultInstance()) }.first)
    }

  @Test
  fun ownersAndContainersSeeAnnotationsAndOwnersAndOperatorsChangeThem() =
    with(mapOf("worker" to service(), "deputy" to service().copy(access = Access.OPERATOR))) { launched ->
      val byService = launched.values.associateBy { it.environment.getValue("KNIT_SERVICE_NAME") }
      val (worker, deputy) = listOf("worker", "deputy").map { connect(byService.getValue(it).credentials) }
      val owner = connect(knit.am.core.Role.OWNER)
      val operator = connect(knit.am.core.Role.OPERATOR)
      val viewer = connect(knit.am.core.Role.VIEWER)
      val wish = GetApplicationRequest.newBuilder().setWithValues(true).build()

      fun notes(response: GetApplicationResponse) = response.spec.annotationsMap.mapValues { it.value.toStringUtf8() }

      assertEquals(mapOf("ticket" to "42"), notes(owner.getApplication(wish)))
      assertEquals(mapOf("ticket" to "42"), notes(worker.application(withValues = true)))
      val request =
        UpdateApplicationRequest
          .newBuilder()
          .putSetAnnotations("who", ByteString.copyFromUtf8("me"))
          .addRemoveAnnotations("ticket")
          .setRequestId("once")
          .build()
      val changed = operator.updateApplication(request)
      assertEquals(changed, operator.updateApplication(request), "it is done once")
      assertTrue(owner.getApplication(wish).let { changed.sequence in 1..it.sequence })
      for (told in listOf(owner.getApplication(wish), worker.application(true), deputy.application(true))) {
        assertEquals(mapOf("who" to "me"), notes(told))
      }
      for (told in listOf(owner, operator, viewer).map { it.getApplication(GetApplicationRequest.getDefaultInstance()) }) {
        assertEquals(emptyMap<String, String>(), notes(told))
      }
      val denied = Status.Code.PERMISSION_DENIED to "PERMISSION_DENIED"
      for (other in listOf(operator, viewer)) assertEquals(denied, refusal { other.getApplication(wish) })
      for (other in listOf(
        viewer,
        ApplicationServiceCoroutineStub(worker),
      )) {
        assertEquals(denied, refusal { other.updateApplication(request) })
      }
      val more = UpdateApplicationRequest.newBuilder().putSetAnnotations("n", ByteString.copyFrom(ByteArray(65_536)))
      assertEquals(Status.Code.RESOURCE_EXHAUSTED to "ANNOTATIONS_TOO_LARGE", refusal { owner.updateApplication(more.build()) })
      assertEquals(mapOf("who" to "me"), notes(owner.getApplication(wish)))
    }

  @Test
  fun aContainerReportsOfItselfAndWhatItMayBeStartedAnew() =
    with(
      mapOf(
        "worker" to service(instances = 1, readiness = Readiness(isReported = true)),
        "deputy" to service().copy(access = Access.OPERATOR),
      ),
    ) { launched ->
      val byService = launched.values.associateBy { it.environment.getValue("KNIT_SERVICE_NAME") }
      val (worker, deputy) = listOf("worker", "deputy").map { connect(byService.getValue(it).credentials) }
      val applications = ApplicationServiceCoroutineStub(worker)
      applications.reportProgress(ReportProgressRequest.newBuilder().setProgress(0.25).build())
      val description = worker.application()
      assertEquals(0.25 to true, description.application.let { it.progress to it.isProgressReported })
      assertEquals(listOf("annotations", "driver", "events", "key_value", "services"), description.featuresList)
      assertTrue(description.version.isNotEmpty())
      assertEquals(
        Status.Code.INVALID_ARGUMENT,
        refusal {
          applications.reportProgress(ReportProgressRequest.newBuilder().setProgress(2.0).build())
        }.first,
      )

      val ready = ContainerServiceCoroutineStub(worker).reportReady(ReportReadyRequest.getDefaultInstance())
      assertTrue(ready.sequence > 0)
      val other = ContainerRef.newBuilder().setServiceName("deputy").setOrdinal(0)
      val refused =
        refusal { ContainerServiceCoroutineStub(worker).reportReady(ReportReadyRequest.newBuilder().setContainer(other).build()) }
      assertEquals(Status.Code.PERMISSION_DENIED to "NOT_YOURSELF", refused)
      withTimeout(20_000) {
        while (applications
            .listServices(named("worker"))
            .servicesList
            .single()
            .readyCount < 1
        ) {
          delay(20)
        }
      }

      val wish = RestartContainersRequest.newBuilder().addServiceNames("worker").build()
      assertEquals(Status.Code.PERMISSION_DENIED, refusal { ContainerServiceCoroutineStub(worker).restartContainers(wish) }.first)
      val restarted = ContainerServiceCoroutineStub(deputy).restartContainers(wish)
      assertEquals(2, restarted.containersList.single().attemptNumber)
      assertTrue(restarted.sequence > ready.sequence)
      val unknown = refusal { applications.listServices(named("nobody")) }
      assertEquals(Status.Code.NOT_FOUND to "NO_SUCH_SERVICE", unknown)
    }

  private fun named(service: String) = ListServicesRequest.newBuilder().addServiceNames(service).build()
}

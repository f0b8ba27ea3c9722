package knit.am

import io.grpc.Grpc
import io.grpc.InsecureChannelCredentials
import io.grpc.ManagedChannel
import io.grpc.Status
import io.grpc.StatusException
import io.grpc.StatusRuntimeException
import io.grpc.TlsChannelCredentials
import io.grpc.health.v1.HealthCheckRequest
import io.grpc.health.v1.HealthCheckResponse
import io.grpc.health.v1.HealthGrpc
import io.grpc.reflection.v1.ServerReflectionGrpc
import io.grpc.reflection.v1.ServerReflectionRequest
import io.grpc.reflection.v1.ServerReflectionResponse
import io.grpc.stub.StreamObserver
import knit.am.core.HISTORY
import knit.am.core.Role
import knit.am.core.ServiceSpec
import knit.am.core.lease
import knit.am.core.service
import knit.am.driver.FakeDriver
import knit.am.grpc.documentOf
import knit.am.log.ContainerIndex
import knit.am.log.FakeLogSource
import knit.am.security.ClientGrant
import knit.am.security.ContainerKeys
import knit.am.security.Fingerprint
import knit.am.security.Tls
import knit.am.yarn.FakeNodeManager
import knit.am.yarn.FakeResourceManager
import knit.am.yarn.LeftBehindException
import knit.v1.AddContainersRequest
import knit.v1.ApplicationServiceGrpcKt.ApplicationServiceCoroutineStub
import knit.v1.ApplicationState
import knit.v1.ContainerServiceGrpcKt.ContainerServiceCoroutineStub
import knit.v1.ContainerState
import knit.v1.FinalStatus
import knit.v1.GetApplicationRequest
import knit.v1.ListContainersRequest
import knit.v1.ListLogFilesRequest
import knit.v1.LogServiceGrpcKt.LogServiceCoroutineStub
import knit.v1.Place
import knit.v1.ShutdownRequest
import knit.v1.StopContainersRequest
import knit.v1.StreamLogsRequest
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.io.TempDir
import java.io.IOException
import java.net.ServerSocket
import java.nio.file.Path
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import java.time.Clock
import java.time.Duration
import java.util.concurrent.TimeUnit

/** The whole Application Master over real mutual TLS, with YARN faked. */
@Timeout(60)
class ApplicationMasterTest {
  @TempDir
  lateinit var logDirectory: Path

  private val resourceManager = FakeResourceManager().apply { isGenerous = true }
  private val nodeManager = FakeNodeManager()
  private val published = CompletableDeferred<String>()
  private val staging =
    object : Staging {
      override suspend fun publish(address: String) {
        published.complete(address)
      }

      override suspend fun remove() = Unit
    }

  private fun resource(name: String) = checkNotNull(javaClass.getResourceAsStream("/tls/$name")) { name }

  private fun certificate(name: String) =
    CertificateFactory.getInstance("X.509").generateCertificate(resource("$name.pem")) as X509Certificate

  private var driver: FakeDriver? = null

  private fun master(
    spec: ServiceSpec,
    linger: Duration,
    problem: String? = null,
    masterPorts: IntRange? = null,
    maxAttempts: Int = 1,
    change: (Submission) -> Submission = { it },
  ) = ApplicationMaster(
    config =
      AmConfig(
        applicationId = "application_1_0001",
        attemptNumber = 1,
        host = "localhost",
        document =
          documentOf(
            change(
              Submission(
                "demo",
                mapOf("worker" to spec),
                linger,
                null,
                "ann",
                masterPorts,
                // It says no role itself, as those of other programs.
                listOf(ClientGrant(Fingerprint.of(certificate("client")), Role.OWNER)),
                problem,
              ),
            ),
          ),
        logDirectory = logDirectory,
        lease = lease(0),
        maxAttempts = maxAttempts,
        historyId = HISTORY,
        tls = Tls(resource("ca.pem").readBytes(), resource("server.pem").readBytes(), resource("server.key").readBytes()),
        containerKeys = ContainerKeys(resource("client.pem").readBytes(), resource("client.key").readBytes(), ByteArray(32)),
      ),
    resourceManager = resourceManager,
    nodeManager = nodeManager,
    logSource = FakeLogSource(),
    index = ContainerIndex(logDirectory, Dispatchers.IO.limitedParallelism(1)),
    events = EventLogs(logDirectory, Dispatchers.IO.limitedParallelism(1)),
    staging = staging,
    clock = Clock.systemUTC(),
    nowMillis = { TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) },
    drivers = { _, script -> FakeDriver(script).also { driver = it } },
  )

  private fun channel(
    port: Int,
    certificate: String? = "client",
  ): ManagedChannel {
    val credentials = TlsChannelCredentials.newBuilder().trustManager(resource("ca.pem"))
    if (certificate != null) credentials.keyManager(resource("$certificate.pem"), resource("$certificate.key"))
    return Grpc
      .newChannelBuilderForAddress("localhost", port, credentials.build())
      .overrideAuthority("knit-application-master")
      .build()
  }

  private class Running(
    val channel: ManagedChannel,
    val port: Int,
    val outcome: Deferred<knit.am.core.Outcome>,
  ) {
    val applications = ApplicationServiceCoroutineStub(channel)
    val containers = ContainerServiceCoroutineStub(channel)
    val logs = LogServiceCoroutineStub(channel)
  }

  private fun withMaster(
    spec: ServiceSpec = service(),
    linger: Duration = Duration.ofSeconds(30),
    test: suspend Running.() -> Unit,
  ) = runBlocking(Dispatchers.Default) {
    coroutineScope {
      val outcome = async { master(spec, linger).run() }
      val port =
        published
          .await()
          .substringAfter(':')
          .toInt()
      val channel = channel(port)
      try {
        Running(channel, port, outcome).test()
      } finally {
        outcome.cancel()
        channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS)
      }
    }
  }

  private suspend fun Running.awaitState(
    state: ContainerState,
    count: Int = 1,
  ) = withTimeout(20_000) {
    val request = ListContainersRequest.newBuilder().addStates(state).build()
    while (containers.listContainers(request).containersCount < count) delay(20)
  }

  private suspend fun Running.awaitPhase(state: ApplicationState) =
    withTimeout(20_000) {
      while (applications.getApplication(GetApplicationRequest.getDefaultInstance()).application.state !=
        state
      ) {
        delay(20)
      }
    }

  private suspend fun refusal(call: suspend () -> Unit): Status.Code =
    try {
      call()
      Status.Code.OK
    } catch (refused: StatusException) {
      refused.status.code
    } catch (refused: StatusRuntimeException) {
      refused.status.code
    }

  @Test
  fun anApplicationRunsToItsEndAndAClientReleasesIt() =
    withMaster(service(instances = 2, environment = mapOf("MINE" to "secret"))) {
      awaitState(ContainerState.CONTAINER_STATE_RUNNING, 2)
      assertEquals(port, resourceManager.registeredPort)
      assertEquals(
        setOf("0", "1"),
        nodeManager.launched.values
          .map { it.environment["KNIT_RANK"] }
          .toSet(),
      )
      val application = applications.getApplication(GetApplicationRequest.getDefaultInstance())
      assertEquals(ApplicationState.APPLICATION_STATE_RUNNING, application.application.state)
      assertEquals(mapOf("MINE" to ""), application.spec.getServicesOrThrow("worker").environmentMap)
      assertEquals(HISTORY, application.historyId)

      resourceManager.complete("container_1")
      resourceManager.complete("container_2")
      val log = logs.streamLogs(StreamLogsRequest.newBuilder().setFollow(true).build()).toList()
      assertEquals(4, log.count { it.hasEnd() })
      withTimeout(10_000) { while (resourceManager.outcomes.isEmpty()) delay(10) }
      assertFalse(outcome.isCompleted, "it lingers")
      val ended = applications.shutdown(ShutdownRequest.getDefaultInstance())
      assertEquals(FinalStatus.FINAL_STATUS_SUCCEEDED, ended.outcome.finalStatus)
      withTimeout(5_000) { outcome.await() }
    }

  @Test
  fun withoutClientsItLeavesByItself() =
    withMaster(linger = Duration.ofMillis(300)) {
      awaitState(ContainerState.CONTAINER_STATE_RUNNING)
      resourceManager.complete("container_1", exitStatus = 3)
      assertEquals(3, withTimeout(10_000) { outcome.await() }.exitCode)
    }

  @Test
  fun aClientAddsAndStopsContainers() =
    withMaster(service(instances = 1)) {
      awaitState(ContainerState.CONTAINER_STATE_RUNNING)
      val request =
        AddContainersRequest
          .newBuilder()
          .setServiceName("worker")
          .setCount(2)
          .setRequestId("once")
          .build()
      val added = containers.addContainers(request).containersList
      assertEquals(listOf(1, 2), added.map { it.rank })
      assertEquals(added.map { it.rank }, containers.addContainers(request).containersList.map { it.rank })
      awaitState(ContainerState.CONTAINER_STATE_RUNNING, 3)
      val stop = StopContainersRequest.newBuilder().addPlaces(Place.newBuilder().setServiceName("worker").setRank(2)).build()
      assertEquals(
        ContainerState.CONTAINER_STATE_STOPPING,
        containers
          .stopContainers(stop)
          .containersList
          .single()
          .state,
      )
      withTimeout(5_000) { while (nodeManager.stopped.isEmpty()) delay(10) }
    }

  @Test
  fun everyContainerAndItsEndIsNotedBesideTheLogs() =
    withMaster(service(instances = 1, maxRestarts = 1)) {
      awaitState(ContainerState.CONTAINER_STATE_RUNNING)
      resourceManager.complete("container_1", exitStatus = 3)
      withTimeout(20_000) { while ("container_2" !in nodeManager.launched) delay(20) }
      resourceManager.complete("container_2")
      awaitPhase(ApplicationState.APPLICATION_STATE_ENDED)
      applications.shutdown(ShutdownRequest.getDefaultInstance())
      withTimeout(10_000) { outcome.await() }
      val lines = logDirectory.resolve("containers.jsonl").toFile().readLines()
      assertEquals(
        listOf("attempt", "container_1 launched", "container_1 FAILED", "container_2 launched", "container_2 SUCCEEDED", "outcome"),
        lines.map { line ->
          val containerId = Regex("container_\\d").find(line)?.value
          val state = Regex("\"state\":\"(\\w+)\"").find(line)?.groupValues?.get(1) ?: "launched"
          if (containerId == null) line.substringAfter('"').substringBefore('"') else "$containerId $state"
        },
      )
      val (head, events) =
        logDirectory
          .resolve("events.jsonl")
          .toFile()
          .readLines()
          .let { it.first() to it.drop(1) }
      assertEquals("""{"history_id":"$HISTORY"}""", head)
      assertTrue(
        events.first().let { "\"sequence\":1," in it && "CONTAINER_STATE_REQUESTED" in it },
        "from the beginning: ${events.first()}",
      )
      assertTrue("APPLICATION_STATE_ENDED" in events.last(), "to the end: ${events.last()}")
      val states = events.drop(1).mapNotNull { Regex("CONTAINER_STATE_(\\w+)").find(it)?.groupValues?.get(1) }
      assertEquals(listOf("LAUNCHING", "RUNNING", "FAILED", "LAUNCHING", "RUNNING", "SUCCEEDED"), states.filter { it != "REQUESTED" })
    }

  @Test
  fun itHasEndedOnceYarnHasTakenNoteAndNotBefore() =
    withMaster {
      awaitState(ContainerState.CONTAINER_STATE_RUNNING)
      val held = CompletableDeferred<Unit>()
      resourceManager.unregistering = { held.await() }
      resourceManager.complete("container_1")
      awaitState(ContainerState.CONTAINER_STATE_SUCCEEDED)
      withTimeout(10_000) { while (!resourceManager.isUnregistering) delay(10) }
      val ending = applications.getApplication(GetApplicationRequest.getDefaultInstance())
      assertEquals(ApplicationState.APPLICATION_STATE_ENDING, ending.application.state)
      assertEquals(FinalStatus.FINAL_STATUS_SUCCEEDED, ending.application.outcome.finalStatus)
      assertEquals(ApplicationState.APPLICATION_STATE_ENDING, applications.shutdown(ShutdownRequest.getDefaultInstance()).state)
      held.complete(Unit)
      awaitPhase(ApplicationState.APPLICATION_STATE_ENDED)
      assertFalse(outcome.isCompleted, "a client that asked before the end has not released it")
    }

  @Test
  fun aSubmissionThatIsNotUnderstoodEndsFailedWithASentence() {
    val ended = runBlocking(Dispatchers.Default) { master(service(), Duration.ZERO, problem = "It is not understood.").run() }
    assertEquals("It is not understood.", ended.diagnostics)
    assertEquals(listOf(ended), resourceManager.outcomes)
    assertEquals(emptySet<String>(), nodeManager.launched.keys)
  }

  @Test
  fun aDeadNodeStallsNobodyAndItsContainerIsReplaced() {
    nodeManager.dead += "node1:8041"
    resourceManager.rooms = listOf(knit.am.yarn.room(1), knit.am.yarn.room(2))
    withMaster(service(instances = 4, maxReplacements = 3)) {
      awaitState(ContainerState.CONTAINER_STATE_RUNNING, 4)
      assertTrue(resourceManager.released.isNotEmpty())
      assertEquals(setOf("node1:8041"), resourceManager.demands.last().excludedNodes)
    }
  }

  @Test
  fun refusalsHaveTheStatusesOfTheContract() =
    withMaster {
      val table =
        listOf<Pair<Status.Code, suspend () -> Unit>>(
          Status.Code.NOT_FOUND to { containers.listContainers(ListContainersRequest.newBuilder().addServiceNames("nobody").build()) },
          Status.Code.NOT_FOUND to { logs.listLogFiles(ListLogFilesRequest.newBuilder().setContainerId("container_99").build()) },
          Status.Code.NOT_FOUND to { logs.streamLogs(StreamLogsRequest.newBuilder().addContainerIds("container_99").build()).toList() },
          Status.Code.INVALID_ARGUMENT to { logs.streamLogs(StreamLogsRequest.newBuilder().addFileNames("../x").build()).toList() },
          Status.Code.INVALID_ARGUMENT to { containers.stopContainers(StopContainersRequest.getDefaultInstance()) },
          Status.Code.OUT_OF_RANGE to {
            val request = AddContainersRequest.newBuilder().setServiceName("worker").setCount(1)
            containers.addContainers(request.setHistoryId("another").build())
          },
          Status.Code.INVALID_ARGUMENT to { applications.shutdown(ShutdownRequest.newBuilder().setFinalStatusValue(99).build()) },
        )
      for ((code, call) in table) assertEquals(code, refusal { call() })
    }

  @Test
  fun aStrangerGetsNothingNotEvenReflection() =
    withMaster {
      for (certificate in listOf(null, "stranger")) {
        val stranger = channel(port, certificate)
        try {
          val health = HealthGrpc.newBlockingStub(stranger)
          assertEquals(Status.Code.UNAVAILABLE, refusal { health.check(HealthCheckRequest.getDefaultInstance()) })
          assertEquals(Status.Code.UNAVAILABLE, Status.fromThrowable(reflect(stranger)).code)
        } finally {
          stranger.shutdownNow()
        }
      }
      val plaintext = Grpc.newChannelBuilderForAddress("localhost", port, InsecureChannelCredentials.create()).build()
      assertEquals(
        Status.Code.UNAVAILABLE,
        refusal { HealthGrpc.newBlockingStub(plaintext).check(HealthCheckRequest.getDefaultInstance()) },
      )
      plaintext.shutdownNow()
      val own = HealthGrpc.newBlockingStub(channel).check(HealthCheckRequest.getDefaultInstance())
      assertEquals(HealthCheckResponse.ServingStatus.SERVING, own.status)
      assertTrue(reflect(channel) is Answered)
    }

  private class Answered : Exception()

  /** Asks for the list of services; returns why it ended. */
  private suspend fun reflect(channel: ManagedChannel): Throwable {
    val end = CompletableDeferred<Throwable>()
    val observer =
      object : StreamObserver<ServerReflectionResponse> {
        override fun onNext(value: ServerReflectionResponse) {
          end.complete(Answered())
        }

        override fun onError(failure: Throwable) {
          end.complete(failure)
        }

        override fun onCompleted() = Unit
      }
    ServerReflectionGrpc
      .newStub(channel)
      .serverReflectionInfo(observer)
      .onNext(ServerReflectionRequest.newBuilder().setListServices("").build())
    return withTimeout(10_000) { end.await() }
  }

  @Test
  fun withoutAFreePortTheApplicationFailsAndSaysSo() {
    ServerSocket(0).use { taken ->
      val port = taken.localPort
      val outcome = runBlocking(Dispatchers.Default) { master(service(), Duration.ofSeconds(30), masterPorts = port..port).run() }
      assertEquals(knit.am.core.FinalStatus.FAILED, outcome.finalStatus)
      assertTrue("$port" in outcome.diagnostics && "master_ports" in outcome.diagnostics, outcome.diagnostics)
      assertEquals(listOf(outcome), resourceManager.outcomes)
      assertEquals(-1, resourceManager.registeredPort)
    }
  }

  @Test
  fun anAttemptThatIsLeftBehindEndsWithoutAWord() {
    resourceManager.failure = LeftBehindException(IOException("unknown attempt"))
    assertThrows(LeftBehindException::class.java) {
      runBlocking(Dispatchers.Default) { master(service(), Duration.ZERO).run() }
    }
    assertEquals(emptyList<Any>(), resourceManager.outcomes)
  }

  /** What is started beside it knows where it is, and its end is the application's. */
  @Test
  fun aDriverBeginsAndEndsWithTheApplication() =
    runBlocking(Dispatchers.Default) {
      val spec = DriverSpec("run it", mapOf("MINE" to "1", "KNIT_AM_ADDRESS" to "elsewhere"))
      val master = master(service(), Duration.ZERO) { it.copy(services = emptyMap(), driver = spec) }
      val outcome = async { master.run() }
      val address = published.await()
      val driver =
        withTimeout(20_000) {
          while (driver == null) delay(20)
          checkNotNull(driver).also { it.started.await() }
        }
      val script = driver.script()
      for (line in listOf("export MINE='1'", "export KNIT_AM_ADDRESS='$address'", "set -- 'run it'", "export KNIT_HISTORY_ID='$HISTORY'")) {
        assertTrue(line in script, script)
      }
      assertFalse("KNIT_CONTAINER_ID" in script, script)
      driver.end(0)
      assertEquals(knit.am.core.FinalStatus.SUCCEEDED, withTimeout(20_000) { outcome.await() }.finalStatus)
      assertFalse(driver.stopped.isCompleted)
    }

  @Test
  fun aFailureThatIsToBeRetriedIsToldToNobodyUnlessItIsTheLastAttempt() =
    runBlocking(Dispatchers.Default) {
      val retried = { policy: AttemptPolicy, maxAttempts: Int ->
        master(service(), Duration.ZERO, maxAttempts = maxAttempts) {
          it.copy(services = emptyMap(), driver = DriverSpec("false"), attemptPolicy = policy)
        }
      }
      val table =
        listOf(
          Triple(AttemptPolicy.FAILURES, 2, true),
          Triple(AttemptPolicy.FAILURES, 1, false),
          Triple(AttemptPolicy.CRASHES, 2, false),
        )
      for ((policy, maxAttempts, isRetried) in table) {
        driver = null
        resourceManager.outcomes.clear()
        val running = async { runCatching { retried(policy, maxAttempts).run() } }
        withTimeout(20_000) {
          while (driver == null) delay(20)
          checkNotNull(driver).started.await()
        }
        checkNotNull(driver).end(3)
        val result = withTimeout(20_000) { running.await() }
        assertEquals(isRetried, result.exceptionOrNull() is AttemptFailedException, "$policy, $maxAttempts: $result")
        assertEquals(if (isRetried) 0 else 1, resourceManager.outcomes.size, "$policy, $maxAttempts")
      }
    }
}

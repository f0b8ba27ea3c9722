package knit.am.grpc

import com.google.protobuf.ByteString
import com.google.protobuf.Message
import io.grpc.CallOptions
import io.grpc.ClientCall
import io.grpc.ManagedChannel
import io.grpc.Metadata
import io.grpc.MethodDescriptor
import io.grpc.Server
import io.grpc.ServerInterceptors
import io.grpc.Status
import io.grpc.inprocess.InProcessChannelBuilder
import io.grpc.inprocess.InProcessServerBuilder
import knit.am.ApplicationLoop
import knit.am.Submission
import knit.am.core.Index
import knit.am.core.after
import knit.am.core.granted
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.am.log.FakeLogSource
import knit.am.log.LogStreams
import knit.am.security.CallingAs
import knit.v1.AddContainersRequest
import knit.v1.AddServicesRequest
import knit.v1.ApplicationServiceGrpc
import knit.v1.ContainerRef
import knit.v1.ContainerServiceGrpc
import knit.v1.ContainerState
import knit.v1.GetApplicationRequest
import knit.v1.ListContainersRequest
import knit.v1.ListLogFilesRequest
import knit.v1.ListServicesRequest
import knit.v1.LogServiceGrpc
import knit.v1.Place
import knit.v1.RemoveServicesRequest
import knit.v1.ReportProgressRequest
import knit.v1.ReportReadyRequest
import knit.v1.Resource
import knit.v1.RestartContainersRequest
import knit.v1.ScaleServiceRequest
import knit.v1.ShutdownRequest
import knit.v1.StopContainersRequest
import knit.v1.StreamLogsRequest
import knit.v1.UpdateApplicationRequest
import knit.v1.UpdateServiceRequest
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import java.io.InputStream
import java.time.Clock
import java.time.Duration
import java.util.concurrent.CompletableFuture
import java.util.concurrent.TimeUnit
import kotlin.random.Random
import knit.v1.ServiceSpec as ServiceSpecMessage

/** Random and mutated messages on every call about the application, its containers and logs; [KeyValueGrpcServiceTest] has the others. */
@Timeout(300)
class HostileMessagesTest {
  private val application = registered("worker" to service(instances = 2)).after(granted(1), started(1))
  private val scope = CoroutineScope(Dispatchers.Default)
  private var broken: Throwable? = null
  private val loop = ApplicationLoop(application, Clock.systemUTC(), {}) { broken = it }
  private val server: Server
  private val channel: ManagedChannel

  init {
    scope.launch { loop.run() }
    val guard = CallGuard({ 0 }, {})
    val document = documentOf(Submission("demo", mapOf("worker" to service(instances = 2)), Duration.ZERO, null, null))
    val services =
      listOf(
        ApplicationGrpcService(document, loop, { emptyList() }) {},
        ContainerGrpcService(loop),
        LogGrpcService(LogStreams(loop.snapshots, loop.changes, FakeLogSource())),
      )
    val builder = InProcessServerBuilder.forName(javaClass.name)
    services.forEach { builder.addService(guard.around(ServerInterceptors.intercept(it, ErrorStatusInterceptor(), CallingAs()))) }
    server = builder.build().start()
    channel = InProcessChannelBuilder.forName(javaClass.name).maxInboundMessageSize(AmServer.MAX_MESSAGE_BYTES).build()
  }

  @AfterEach
  fun stop() {
    channel.shutdownNow()
    server.shutdownNow()
    server.awaitTermination()
    scope.cancel()
  }

  private object Raw : MethodDescriptor.Marshaller<ByteArray> {
    override fun stream(value: ByteArray): InputStream = value.inputStream()

    override fun parse(stream: InputStream): ByteArray = stream.readBytes()
  }

  /** How a call with these bytes ends; OK also where it would go on. */
  private fun outcomeOf(
    method: MethodDescriptor<*, *>,
    bytes: ByteArray,
  ): Status {
    val call = channel.newCall(method.toBuilder(Raw, Raw).build(), CallOptions.DEFAULT.withDeadlineAfter(60, TimeUnit.SECONDS))
    val outcome = CompletableFuture<Status>()
    call.start(
      object : ClientCall.Listener<ByteArray>() {
        override fun onMessage(message: ByteArray) {
          outcome.complete(Status.OK)
          call.cancel("enough", null)
        }

        override fun onClose(
          status: Status,
          trailers: Metadata,
        ) {
          outcome.complete(status)
        }
      },
      Metadata(),
    )
    call.request(1)
    call.sendMessage(bytes)
    call.halfClose()
    return outcome.get(60, TimeUnit.SECONDS)
  }

  private val ref = ContainerRef.newBuilder().setServiceName("worker").setOrdinal(1)
  private val place = Place.newBuilder().setServiceName("worker").setRank(1)
  private val size = Resource.newBuilder().setMemoryMib(256).setVcores(1)
  private val spec =
    ServiceSpecMessage
      .newBuilder()
      .setCommand("true")
      .setInstances(1)
      .setResource(size)
      .putEnvironment("A", "b")

  /** In this order: the last one ends the application. */
  private val valid: Map<MethodDescriptor<*, *>, Message> =
    mapOf(
      ApplicationServiceGrpc.getGetApplicationMethod() to GetApplicationRequest.newBuilder().setWithValues(true).build(),
      ApplicationServiceGrpc.getUpdateApplicationMethod() to
        UpdateApplicationRequest
          .newBuilder()
          .putSetAnnotations("ticket", ByteString.copyFromUtf8("42"))
          .addRemoveAnnotations("who")
          .setRequestId("a")
          .build(),
      ApplicationServiceGrpc.getReportProgressMethod() to ReportProgressRequest.newBuilder().setProgress(0.5).build(),
      ApplicationServiceGrpc.getListServicesMethod() to
        ListServicesRequest
          .newBuilder()
          .addServiceNames("worker")
          .setPageSize(3)
          .build(),
      ContainerServiceGrpc.getListContainersMethod() to
        ListContainersRequest
          .newBuilder()
          .addServiceNames("worker")
          .addStates(ContainerState.CONTAINER_STATE_RUNNING)
          .setPageSize(1)
          .build(),
      ContainerServiceGrpc.getReportReadyMethod() to ReportReadyRequest.newBuilder().setContainer(ref).build(),
      LogServiceGrpc.getListLogFilesMethod() to ListLogFilesRequest.newBuilder().setContainerId("container_1").build(),
      LogServiceGrpc.getStreamLogsMethod() to
        StreamLogsRequest
          .newBuilder()
          .addContainerIds("container_1")
          .addFileNames("stdout")
          .setTailLines(3)
          .build(),
      ContainerServiceGrpc.getAddContainersMethod() to
        AddContainersRequest
          .newBuilder()
          .setServiceName("worker")
          .setCount(2)
          .setResource(size)
          .putEnvironment("A", "b")
          .setRequestId("b")
          .build(),
      ApplicationServiceGrpc.getAddServicesMethod() to AddServicesRequest.newBuilder().putServices("new", spec.build()).build(),
      ApplicationServiceGrpc.getUpdateServiceMethod() to
        UpdateServiceRequest
          .newBuilder()
          .setServiceName("worker")
          .setSpec(spec)
          .setFromRevision(1)
          .setReplacesUpdate(true)
          .build(),
      ApplicationServiceGrpc.getScaleServiceMethod() to
        ScaleServiceRequest
          .newBuilder()
          .setServiceName("worker")
          .setDelta(1)
          .addVictims(ref)
          .setRequestId("c")
          .build(),
      ContainerServiceGrpc.getRestartContainersMethod() to
        RestartContainersRequest
          .newBuilder()
          .addPlaces(place)
          .addContainers(ref)
          .build(),
      ContainerServiceGrpc.getStopContainersMethod() to
        StopContainersRequest
          .newBuilder()
          .addContainerIds("container_1")
          .addPlaces(place)
          .addServiceNames("worker")
          .build(),
      ApplicationServiceGrpc.getRemoveServicesMethod() to RemoveServicesRequest.newBuilder().addServiceNames("new").build(),
      ApplicationServiceGrpc.getShutdownMethod() to
        ShutdownRequest
          .newBuilder()
          .setFinalStatusValue(1)
          .setDiagnostics("enough")
          .build(),
    )

  @Test
  fun everyCallIsAmongThem() {
    val services =
      listOf(
        ApplicationServiceGrpc.getServiceDescriptor(),
        ContainerServiceGrpc.getServiceDescriptor(),
        LogServiceGrpc.getServiceDescriptor(),
      )
    assertEquals(services.flatMap { it.methods }.map { it.fullMethodName }.toSet(), valid.keys.map { it.fullMethodName }.toSet())
  }

  @Test
  fun randomAndMutatedMessagesAreAnsweredOrRefusedAndHarmNothing() {
    val random = Random(8)
    for ((method, message) in valid) {
      val bytes = message.toByteArray()
      repeat(200) { number ->
        val sent = if (number % 4 == 0) random.nextBytes(random.nextInt(64)) else mutated(bytes, random)
        val status = outcomeOf(method, sent)
        assertFalse(
          status.code in setOf(Status.Code.INTERNAL, Status.Code.UNKNOWN, Status.Code.DEADLINE_EXCEEDED, Status.Code.UNAVAILABLE),
          "${method.fullMethodName} of ${sent.joinToString("") { "%02x".format(it) }}: $status",
        )
      }
    }
    assertNull(broken)
    assertEquals(Status.Code.OK, outcomeOf(ApplicationServiceGrpc.getGetApplicationMethod(), ByteArray(0)).code)
    val after = loop.snapshots.value
    assertEquals(Index.of(after), after.index)
  }

  private fun mutated(
    bytes: ByteArray,
    random: Random,
  ): ByteArray {
    val changed = bytes.toMutableList()
    repeat(random.nextInt(1, 4)) {
      val place = random.nextInt(changed.size.coerceAtLeast(1))
      when (random.nextInt(4)) {
        0 -> if (changed.isNotEmpty()) changed.removeAt(place)
        1 -> changed.add(place.coerceAtMost(changed.size), random.nextInt().toByte())
        2 -> if (changed.isNotEmpty()) changed[place] = random.nextInt().toByte()
        else -> if (changed.isNotEmpty()) changed[place] = (changed[place].toInt() xor (1 shl random.nextInt(8))).toByte()
      }
    }
    return changed.toByteArray()
  }
}

package knit.am.grpc

import com.google.protobuf.DynamicMessage
import io.grpc.ManagedChannel
import io.grpc.MethodDescriptor
import io.grpc.MethodDescriptor.MethodType
import io.grpc.Server
import io.grpc.ServerInterceptors
import io.grpc.Status
import io.grpc.inprocess.InProcessChannelBuilder
import io.grpc.inprocess.InProcessServerBuilder
import io.grpc.protobuf.ProtoMethodDescriptorSupplier
import knit.am.ApplicationLoop
import knit.am.core.Application
import knit.am.core.Caller
import knit.am.core.ContainerRef
import knit.am.core.Dependency
import knit.am.core.DependencyCondition
import knit.am.core.EndApplication
import knit.am.core.FinalStatus
import knit.am.core.HISTORY
import knit.am.core.Role
import knit.am.core.Unregistered
import knit.am.core.after
import knit.am.core.completed
import knit.am.core.granted
import knit.am.core.id
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.am.log.FakeLogSource
import knit.am.log.LogStreams
import knit.am.security.CallingAs
import knit.am.security.Roles
import knit.v1.ApplicationServiceGrpc
import knit.v1.ApplicationSpec
import knit.v1.GetApplicationRequest
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.Timeout
import java.time.Clock
import java.util.concurrent.CompletableFuture
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicReference
import kotlin.random.Random

/**
 * Whatever is sent to whichever call: it is answered, or refused with a reason, and the Application Master goes on.
 *
 * Calls are those that its services have; which these are the contract says, and RolesTest holds the two together.
 */
@Timeout(180)
class EveryCallTest {
  /** All that a client can reach of an Application Master, with some containers in it, and a loop that tells what broke it. */
  private class Master(
    name: String,
  ) : AutoCloseable {
    val broken = AtomicReference<Throwable>()
    val calling = CallingAs()
    private val scope = CoroutineScope(Dispatchers.Default)
    private val loop = ApplicationLoop(populated(), Clock.systemUTC(), {}) { broken.set(it) }
    private val server: Server
    val channel: ManagedChannel

    init {
      scope.launch { runCatching { loop.run() } }
      val guard = CallGuard({ 0 }, {})
      val services =
        listOf(
          ApplicationGrpcService(SubmissionDocument.of(ApplicationSpec.getDefaultInstance().toByteArray()), loop, {
            emptyList()
          }, { emptyList() }, {}),
          ContainerGrpcService(loop),
          KeyValueGrpcService(loop),
          EventGrpcService(loop.snapshots, loop.changes),
          LogGrpcService(LogStreams(loop.snapshots, loop.changes, FakeLogSource())),
        )
      val builder = InProcessServerBuilder.forName(name)
      services.forEach { builder.addService(guard.around(ServerInterceptors.intercept(it, ErrorStatusInterceptor(), calling))) }
      server = builder.build().start()
      channel = InProcessChannelBuilder.forName(name).maxInboundMessageSize(AmServer.MAX_MESSAGE_BYTES).build()
    }

    val methods: List<MethodDescriptor<*, *>> get() = server.services.flatMap { service -> service.methods.map { it.methodDescriptor } }

    /** Brings the application to its end, and with it every stream that follows it. */
    fun end() {
      runBlocking { loop.request(EndApplication(FinalStatus.KILLED, "")) }
      (1..GRANTED).forEach { loop.post(completed(it)) }
      loop.post(Unregistered)
    }

    override fun close() {
      channel.shutdownNow()
      server.shutdownNow()
      server.awaitTermination()
      scope.cancel()
    }

    private companion object {
      const val GRANTED = 5

      fun populated(): Application =
        registered(
          "worker" to service(instances = 4, maxRestarts = 2),
          "db" to service(instances = 2),
          "late" to service(depends = listOf(Dependency("db", DependencyCondition.FINISHED))),
        ).after(
          granted(1),
          started(1),
          granted(2),
          started(2),
          granted(3),
          granted(4),
          started(4),
          granted(5),
          completed(4, exitStatus = 1),
        )
    }
  }

  private fun CompletableFuture<CallOutcome>.waited(): CallOutcome = get(60, TimeUnit.SECONDS)

  private val random = Random(8)

  private val messages =
    HostileMessages(
      random,
      listOf("worker", "db", "late", "new", "a", HISTORY, "$HISTORY YQ", "$HISTORY worker 0 1", id(1), id(4), "stdout", "r"),
    )

  private val callers =
    listOf(Caller(Role.OWNER), Caller(Role.OPERATOR), Caller(Role.VIEWER), Caller(Role.CONTAINER, ContainerRef("worker", 0)))

  @Test
  fun allCallsOfTheContractAreHere() {
    Master("names").use { master ->
      val ours = Roles.allowed.keys.filter { it.startsWith("knit.") }
      assertEquals(ours.toSet(), master.methods.map { it.fullMethodName }.toSet())
    }
  }

  @TestFactory
  fun messagesMadeOfTheContractMutatedOrRandomAreAnsweredOrRefusedAndHarmNothing(): List<DynamicTest> =
    Master("methods").use { it.methods }.map { method -> dynamicTest(method.bareMethodName) { attack(method) } }

  private fun attack(method: MethodDescriptor<*, *>) =
    Master(method.fullMethodName).use { master ->
      val type = (method.schemaDescriptor as ProtoMethodDescriptorSupplier).methodDescriptor.inputType
      val open = ArrayList<Pair<String, CompletableFuture<CallOutcome>>>()
      repeat(MESSAGES) { number ->
        master.calling.caller = callers[number % callers.size]
        val message: DynamicMessage = messages.any(type, isTame = number % 3 > 0)
        val sent =
          when (number % 5) {
            0 -> messages.bytes()
            1, 2 -> messages.mutated(message.toByteArray())
            else -> message.toByteArray()
          }
        val outcome = master.channel.callWith(method, sent)
        // Streams may have nothing to say until the application ends.
        if (method.type == MethodType.UNARY) outcome.waited()
        open += sent.joinToString("") { "%02x".format(it) } to outcome
      }
      master.calling.caller = Caller(Role.OWNER)
      assertGoesOn(master)
      master.end()
      for ((sent, outcome) in open) assertTold(outcome.waited(), "${method.fullMethodName} of $sent, as ${method.type}")
      assertNull(master.broken.get())
    }

  /** It says so in one of the ways that it has, and to programs too. */
  private fun assertTold(
    outcome: CallOutcome,
    what: String,
  ) {
    if (outcome.status.isOk) return
    assertTrue(outcome.status.code in REFUSALS, "$what: $outcome")
    val error = checkNotNull(outcome.error) { "$what: $outcome has no reason" }
    assertEquals(ERROR_DOMAIN, error.domain)
    assertTrue(Regex("[A-Z_]{3,}").matches(error.reason), "$what: $outcome")
  }

  private fun assertGoesOn(master: Master) {
    assertNull(master.broken.get())
    val get =
      master.channel.callWith(
        ApplicationServiceGrpc.getGetApplicationMethod(),
        GetApplicationRequest.getDefaultInstance().toByteArray(),
      )
    assertEquals(Status.OK, get.waited().status)
  }

  private companion object {
    const val MESSAGES = 600

    /** What a client can act on; the others are faults of the Application Master, or of the connection. */
    val REFUSALS =
      setOf(
        Status.Code.NOT_FOUND,
        Status.Code.ALREADY_EXISTS,
        Status.Code.INVALID_ARGUMENT,
        Status.Code.FAILED_PRECONDITION,
        Status.Code.PERMISSION_DENIED,
        Status.Code.RESOURCE_EXHAUSTED,
        Status.Code.OUT_OF_RANGE,
      )
  }
}

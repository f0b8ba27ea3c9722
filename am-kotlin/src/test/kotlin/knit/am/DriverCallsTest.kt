package knit.am

import com.google.protobuf.ByteString
import io.grpc.Channel
import io.grpc.Status
import knit.am.core.Access
import knit.am.core.ServiceSpec
import knit.am.core.service
import knit.am.driver.DriverTokens
import knit.am.driver.driversIn
import knit.v1.ApplicationServiceGrpcKt.ApplicationServiceCoroutineStub
import knit.v1.ContainerServiceGrpcKt.ContainerServiceCoroutineStub
import knit.v1.GetApplicationRequest
import knit.v1.KeyValueServiceGrpcKt.KeyValueServiceCoroutineStub
import knit.v1.ListContainersRequest
import knit.v1.PutOperation
import knit.v1.PutRequest
import knit.v1.ReportProgressRequest
import knit.v1.ReportReadyRequest
import knit.v1.Role
import knit.v1.ScaleServiceRequest
import knit.v1.ShutdownRequest
import knit.v1.StopContainersRequest
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.apache.hadoop.security.Credentials
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.attribute.PosixFilePermissions

/** What a driver may, with nothing but the files beside it: a real process, and the whole Application Master over real mutual TLS. */
@Timeout(120)
class DriverCallsTest {
  @TempDir
  lateinit var logDirectory: Path

  @TempDir
  lateinit var workingDirectory: Path

  private val inside by lazy { InsideCalls(logDirectory) }

  @AfterEach
  fun close() = inside.close()

  private fun written(name: String): String = workingDirectory.resolve(name).toFile().readText()

  /** The files that the driver finds, once it runs. */
  private suspend fun credentials(): Map<String, String> =
    withTimeout(60_000) {
      while (workingDirectory.resolve("up").let { !Files.exists(it) || Files.size(it) == 0L }) delay(20)
      val folder = workingDirectory.resolve(".knit-credentials")
      assertEquals("$folder\n", written("up"))
      assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder)))
      val files = checkNotNull(folder.toFile().listFiles()).associate { it.name to it.readText() }
      for (name in files.keys) assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.resolve(name))))
      files
    }

  private fun with(
    access: Access,
    services: Map<String, ServiceSpec> = mapOf("worker" to service(instances = 1)),
    test: suspend (Map<String, String>) -> Unit,
  ) = runBlocking(Dispatchers.Default) {
    val drivers = driversIn(workingDirectory, logDirectory, DriverTokens(workingDirectory) { Credentials() }, Dispatchers.IO)
    // It waits to be told to end.
    val spec = DriverSpec("echo \"\$KNIT_CREDENTIALS\" > up; until [ -e done ]; do sleep 0.05; done", access = access)
    coroutineScope {
      val outcome = async { inside.master(services, spec, drivers).run() }
      try {
        inside.published.await()
        test(credentials())
      } finally {
        outcome.cancel()
      }
    }
  }

  private suspend fun refusal(call: suspend () -> Any) = inside.refusal(call)

  private suspend fun Channel.role(): Role =
    ApplicationServiceCoroutineStub(this).getApplication(GetApplicationRequest.getDefaultInstance()).callerRole

  private suspend fun Channel.put(key: String) =
    KeyValueServiceCoroutineStub(this).put(
      PutRequest.newBuilder().setPut(PutOperation.newBuilder().setKey(ByteString.copyFromUtf8(key))).build(),
    )

  private suspend fun Channel.scale() =
    ApplicationServiceCoroutineStub(this).scaleService(
      ScaleServiceRequest
        .newBuilder()
        .setServiceName("worker")
        .setDelta(1)
        .build(),
    )

  private suspend fun Channel.shutdown() = ApplicationServiceCoroutineStub(this).shutdown(ShutdownRequest.getDefaultInstance())

  @Test
  fun aDriverHasWhatContainersHaveAndMayAsMuch() =
    with(Access.CONTAINER) { files ->
      assertEquals(setOf("application_id", "address", "server_name", "ca.pem", "cert.pem", "key.pem", "token"), files.keys)
      assertEquals("application_1_0001" to inside.published.await(), files["application_id"] to files["address"])
      assertTrue(files.getValue("token").startsWith("driver/1/"))
      val driver = inside.connect(files)
      assertEquals(Role.ROLE_CONTAINER, driver.role())
      driver.put("address")
      ApplicationServiceCoroutineStub(driver).reportProgress(ReportProgressRequest.newBuilder().setProgress(0.5).build())
      val containers = ContainerServiceCoroutineStub(driver)
      val worker = containers.listContainers(ListContainersRequest.getDefaultInstance()).containersList.single()

      val stop = StopContainersRequest.newBuilder().addServiceNames(worker.serviceName).build()
      assertEquals(Status.Code.PERMISSION_DENIED to "NOT_YOURSELF", refusal { containers.stopContainers(stop) })
      assertEquals(Status.Code.PERMISSION_DENIED to "PERMISSION_DENIED", refusal { driver.scale() })
      assertEquals(Status.Code.PERMISSION_DENIED to "PERMISSION_DENIED", refusal { driver.shutdown() })
      val values = GetApplicationRequest.newBuilder().setWithValues(true).build()
      assertEquals(Status.Code.PERMISSION_DENIED, refusal { ApplicationServiceCoroutineStub(driver).getApplication(values) }.first)
      // It is no container, and so never ready or not.
      assertEquals(Status.Code.INVALID_ARGUMENT, refusal { containers.reportReady(ReportReadyRequest.getDefaultInstance()) }.first)
    }

  @Test
  fun itMayWhatItsAccessSays() {
    with(Access.OPERATOR) { files ->
      val driver = inside.connect(files)
      assertEquals(Role.ROLE_OPERATOR, driver.role())
      assertEquals(2, driver.scale().service.target)
      assertEquals(Status.Code.PERMISSION_DENIED to "PERMISSION_DENIED", refusal { driver.shutdown() })
    }
  }

  @Test
  fun withTheAccessOfAnOwnerItEndsTheApplication() =
    with(Access.OWNER) { files ->
      val driver = inside.connect(files)
      assertEquals(Role.ROLE_OWNER, driver.role())
      assertEquals(Status.Code.OK, refusal { driver.shutdown() }.first)
    }

  @Test
  fun itsTokenIsVoidOnceItHasEnded() =
    with(Access.OWNER) { files ->
      val driver = inside.connect(files)
      assertEquals(Role.ROLE_OWNER, driver.role())
      Files.createFile(workingDirectory.resolve("done"))
      // The container that is to stop keeps the Application Master there.
      withTimeout(60_000) { while (refusal { driver.role() } != Status.Code.UNAUTHENTICATED to "DRIVER_ENDED") delay(20) }
      assertEquals(Status.Code.UNAUTHENTICATED to "DRIVER_ENDED", refusal { driver.put("late") })
    }
}

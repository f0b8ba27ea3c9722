package knit.am.grpc

import io.grpc.CallOptions
import io.grpc.MethodDescriptor
import io.grpc.StatusRuntimeException
import io.grpc.inprocess.InProcessChannelBuilder
import io.grpc.inprocess.InProcessServerBuilder
import io.grpc.stub.ClientCalls
import knit.v1.ApplicationServiceGrpcKt.ApplicationServiceCoroutineImplBase
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import java.io.InputStream

class CallGuardTest {
  private val raw =
    object : MethodDescriptor.Marshaller<ByteArray> {
      override fun stream(value: ByteArray) = value.inputStream()

      override fun parse(stream: InputStream) = stream.readBytes()
    }

  @Test
  fun ofManyAtATimeOneLineIsWritten() {
    var now = 0L
    val lines = mutableListOf<String>()
    val guard = CallGuard({ now }, lines::add)
    val service = object : ApplicationServiceCoroutineImplBase() {}
    val server =
      InProcessServerBuilder
        .forName("unreadable")
        .directExecutor()
        .addService(guard.around(service.bindService()))
        .build()
        .start()
    val channel = InProcessChannelBuilder.forName("unreadable").build()
    val method =
      MethodDescriptor
        .newBuilder(raw, raw)
        .setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName("knit.v1.ApplicationService/GetApplication")
        .build()
    repeat(1_000) {
      assertThrows(
        StatusRuntimeException::class.java,
      ) { ClientCalls.blockingUnaryCall(channel, method, CallOptions.DEFAULT, byteArrayOf(0x0a)) }
    }
    now = 60_000
    assertThrows(
      StatusRuntimeException::class.java,
    ) { ClientCalls.blockingUnaryCall(channel, method, CallOptions.DEFAULT, byteArrayOf(0x0a)) }
    channel.shutdownNow()
    server.shutdownNow()
    assertEquals(listOf("1", "1000"), lines.map { it.removePrefix("Refused ").substringBefore(' ') })
  }
}

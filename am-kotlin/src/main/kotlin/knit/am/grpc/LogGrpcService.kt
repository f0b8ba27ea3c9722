package knit.am.grpc

import knit.am.log.LogStreams
import knit.v1.ListLogFilesRequest
import knit.v1.ListLogFilesResponse
import knit.v1.LogServiceGrpcKt
import knit.v1.StreamLogsRequest
import knit.v1.StreamLogsResponse
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.map

/** Follows what containers write. */
internal class LogGrpcService(
  private val logs: LogStreams,
) : LogServiceGrpcKt.LogServiceCoroutineImplBase() {
  override suspend fun listLogFiles(request: ListLogFilesRequest): ListLogFilesResponse =
    ListLogFilesResponse
      .newBuilder()
      .addAllFiles(logs.files(request.containerId).map { it.toMessage() })
      .build()

  override fun streamLogs(request: StreamLogsRequest): Flow<StreamLogsResponse> = logs.stream(request.toDomain()).map { it.toMessage() }
}

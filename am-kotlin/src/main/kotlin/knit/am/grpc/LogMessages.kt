package knit.am.grpc

import com.google.protobuf.UnsafeByteOperations
import knit.am.log.LogFile
import knit.am.log.LogItem
import knit.am.log.LogPiece
import knit.am.log.LogQuery
import knit.v1.LogBegin
import knit.v1.LogChunk
import knit.v1.LogEnd
import knit.v1.StreamLogsRequest
import knit.v1.StreamLogsResponse
import knit.v1.LogFile as LogFileMessage

// What LogService says and is told.

private val defaultFileNames = listOf("stdout", "stderr")

internal fun StreamLogsRequest.toDomain() =
  LogQuery(
    containerIds = containerIdsList.toSet(),
    serviceNames = serviceNamesList.toSet(),
    fileNames = fileNamesList.distinct().ifEmpty { defaultFileNames },
    follow = follow,
    tailLines = if (hasTailLines()) tailLines else null,
    positions = positionsList.associate { (it.containerId to it.fileName) to it.offsetBytes },
  )

internal fun LogFile.toMessage(): LogFileMessage =
  LogFileMessage
    .newBuilder()
    .setName(name)
    .setSizeBytes(sizeBytes)
    .build()

internal fun LogItem.toMessage(): StreamLogsResponse {
  val key = container.key
  val containerId = container.lease?.containerId.orEmpty()
  val message = StreamLogsResponse.newBuilder()
  when (val piece = piece) {
    is LogPiece.Begin -> {
      message.setBegin(
        LogBegin
          .newBuilder()
          .setContainerId(containerId)
          .setServiceName(key.place.serviceName)
          .setRank(key.place.rank)
          .setAttemptNumber(key.attemptNumber)
          .setFileName(fileName)
          .setOffsetBytes(piece.offsetBytes)
          .setIsCut(piece.isCut),
      )
    }

    is LogPiece.Chunk -> {
      message.setChunk(
        LogChunk
          .newBuilder()
          .setContainerId(containerId)
          .setServiceName(key.place.serviceName)
          .setRank(key.place.rank)
          .setAttemptNumber(key.attemptNumber)
          .setFileName(fileName)
          .setOffsetBytes(piece.offsetBytes)
          // Nobody changes a chunk once it is made, so it need not be copied.
          .setData(UnsafeByteOperations.unsafeWrap(piece.data)),
      )
    }

    is LogPiece.End -> {
      message.setEnd(
        LogEnd
          .newBuilder()
          .setContainerId(containerId)
          .setServiceName(key.place.serviceName)
          .setRank(key.place.rank)
          .setAttemptNumber(key.attemptNumber)
          .setFileName(fileName)
          .setOffsetBytes(piece.offsetBytes)
          .setIncompleteReason(piece.incompleteReason)
          .setMayBeCollected(piece.mayBeCollected),
      )
    }
  }
  return message.build()
}

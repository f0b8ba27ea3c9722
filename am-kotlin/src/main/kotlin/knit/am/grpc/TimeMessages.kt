package knit.am.grpc

import com.google.protobuf.Duration
import com.google.protobuf.Timestamp
import java.time.Instant

// Times, of all messages.

internal fun Instant.toMessage(): Timestamp =
  Timestamp
    .newBuilder()
    .setSeconds(epochSecond)
    .setNanos(nano)
    .build()

internal fun Timestamp.toDomain(): Instant = Instant.ofEpochSecond(seconds, nanos.toLong())

internal fun Duration.toDomain(): java.time.Duration = java.time.Duration.ofSeconds(seconds, nanos.toLong())

internal fun java.time.Duration.toMessage(): Duration =
  Duration
    .newBuilder()
    .setSeconds(seconds)
    .setNanos(nano)
    .build()

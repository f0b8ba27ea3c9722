package knit.am.grpc

import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener
import io.grpc.Metadata
import io.grpc.ServerCall
import io.grpc.ServerCallHandler
import io.grpc.ServerInterceptor
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.atomic.AtomicLong

/** Knows when a client was last heard. */
internal class ClientActivity(
  private val nowMillis: () -> Long,
) : ServerInterceptor {
  private val open = AtomicInteger()
  private val lastMillis = AtomicLong(nowMillis())

  /** Milliseconds since a client was last heard; 0 while a call is open. */
  fun quietMillis(): Long = if (open.get() > 0) 0 else nowMillis() - lastMillis.get()

  override fun <Q, A> interceptCall(
    call: ServerCall<Q, A>,
    headers: Metadata,
    next: ServerCallHandler<Q, A>,
  ): ServerCall.Listener<Q> {
    val isOver = AtomicBoolean()
    open.incrementAndGet()

    fun over() {
      if (isOver.compareAndSet(false, true)) {
        lastMillis.set(nowMillis())
        open.decrementAndGet()
      }
    }
    return try {
      object : SimpleForwardingServerCallListener<Q>(next.startCall(call, headers)) {
        override fun onComplete() {
          over()
          super.onComplete()
        }

        override fun onCancel() {
          over()
          super.onCancel()
        }
      }
    } catch (
      @Suppress("TooGenericExceptionCaught") failure: Throwable,
    ) {
      over()
      throw failure
    }
  }
}

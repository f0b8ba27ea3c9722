package knit.am.grpc

import io.grpc.Attributes
import io.grpc.Grpc
import io.grpc.ServerTransportFilter
import io.netty.channel.Channel
import io.netty.channel.ChannelHandlerContext
import io.netty.channel.ChannelInboundHandlerAdapter
import io.netty.channel.socket.nio.NioServerSocketChannel
import java.net.InetSocketAddress
import java.net.SocketAddress
import java.util.concurrent.ConcurrentHashMap

/**
 * Accepts connections, as many as a [ConnectionLimiter] lets stay.
 *
 * The limiter is used on this channel's event loop only, where connections are accepted; what happens on those of the
 * connections is handed over.
 */
internal class LimitedServerChannel(
  private val open: OpenConnections,
) : NioServerSocketChannel() {
  private val limiter = ConnectionLimiter<Channel>()

  init {
    open.recognize = { channel -> eventLoop().execute { limiter.recognize(channel) } }
  }

  override fun doReadMessages(accepted: MutableList<Any>): Int {
    val before = accepted.size
    val count = super.doReadMessages(accepted)
    if (accepted.size > before) admit(accepted.last() as Channel, accepted)
    return count
  }

  private fun admit(
    channel: Channel,
    accepted: MutableList<Any>,
  ) {
    val remote = channel.remoteAddress() as InetSocketAddress?
    val leaving = limiter.arrive(channel, remote?.address)
    if (leaving !== channel) watch(channel, remote)
    if (leaving != null) close(leaving, accepted)
  }

  private fun watch(
    channel: Channel,
    remote: SocketAddress?,
  ) {
    if (remote != null) open.byRemote[remote] = channel
    channel.closeFuture().addListener {
      if (remote != null) open.byRemote.remove(remote, channel)
      if (eventLoop().inEventLoop()) limiter.leave(channel) else eventLoop().execute { limiter.leave(channel) }
    }
    channel.pipeline().addLast(
      object : ChannelInboundHandlerAdapter() {
        override fun channelRead(
          context: ChannelHandlerContext,
          message: Any,
        ) {
          eventLoop().execute { limiter.speak(channel) }
          context.fireChannelRead(message)
          context.pipeline().remove(this)
        }
      },
    )
  }

  /** One that was [accepted] just now has no event loop of its own yet, and tells nobody that it is closed. */
  private fun close(
    channel: Channel,
    accepted: MutableList<Any>,
  ) {
    if (!accepted.remove(channel)) {
      channel.close()
      return
    }
    channel.remoteAddress()?.let { open.byRemote.remove(it, channel) }
    channel.unsafe().closeForcibly()
  }
}

/** Finds the connections of clients that have just proven who they are: gRPC tells where they come from, not which they are. */
internal class OpenConnections : ServerTransportFilter() {
  val byRemote = ConcurrentHashMap<SocketAddress, Channel>()

  /** Set by the channel that accepts them. */
  @Volatile
  var recognize: (Channel) -> Unit = {}

  /** Called once TLS and HTTP/2 have both begun. */
  override fun transportReady(attributes: Attributes): Attributes {
    attributes[Grpc.TRANSPORT_ATTR_REMOTE_ADDR]?.let(byRemote::get)?.let(recognize)
    return attributes
  }
}

package knit.am.grpc

/**
 * Counts connections, and says which has to go where they are too many.
 *
 * Whoever connects is a stranger until it has proven who it is. There are at most [maxStrangers] of those. One more makes
 * another one go: of those that have not said a word, if there are any, the oldest of the address that has the most. So it
 * is of no use to hold connections open in silence, from one machine or from many: a client says hello at once, and stays.
 *
 * Not for several threads.
 *
 * @param C a connection, by identity
 */
internal class ConnectionLimiter<C : Any>(
  private val maxStrangers: Int = MAX_STRANGERS,
  private val maxOpen: Int = MAX_OPEN,
) {
  private class Stranger(
    val address: Any?,
  ) {
    var isSilent = true
  }

  /** In the order in which they came. */
  private val strangers = LinkedHashMap<C, Stranger>()
  private val known = HashSet<C>()

  val strangerCount: Int
    get() = strangers.size

  /** Takes note of a new connection from [address]; returns the one that has to be closed for it, which may be itself. */
  fun arrive(
    connection: C,
    address: Any?,
  ): C? {
    val isFull = strangers.size >= maxStrangers || strangers.size + known.size >= maxOpen
    val leaving = if (isFull) leaving() ?: return connection else null
    leaving?.let(strangers::remove)
    strangers[connection] = Stranger(address)
    return leaving
  }

  /** [connection] has sent its first bytes. */
  fun speak(connection: C) {
    strangers[connection]?.isSilent = false
  }

  /** [connection] has proven who it is. */
  fun recognize(connection: C) {
    if (strangers.remove(connection) != null) known.add(connection)
  }

  /** [connection] is closed. */
  fun leave(connection: C) {
    if (strangers.remove(connection) == null) known.remove(connection)
  }

  private fun leaving(): C? {
    val candidates = strangers.filterValues { it.isSilent }.ifEmpty { strangers }
    val counts = candidates.values.groupingBy { it.address }.eachCount()
    return candidates.entries.maxByOrNull { counts.getValue(it.value.address) }?.key
  }

  companion object {
    /** Enough for all containers of a large application to connect at the same moment, and cheap: some tens of kilobytes each. */
    const val MAX_STRANGERS = 64

    /** Half of the files that a process may usually have open at the least (4,096) stay for everything else. */
    const val MAX_OPEN = 1_024
  }
}

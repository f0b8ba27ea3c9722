package knit.am.yarn

/**
 * Counts what it took until YARN had granted all that was asked for at a time.
 *
 * A round begins with the heartbeat that first asks for something, and ends with the one that leaves nothing open.
 */
internal class AllocationRound(
  private val nowMillis: () -> Long,
) {
  private var beganMillis = 0L
  private var heartbeats = 0
  private var grants = 0

  /** Takes note of a heartbeat that is about to be sent, with so many open requests. */
  fun asks(open: Int) {
    if (heartbeats == 0 && open == 0) return
    if (heartbeats == 0) beganMillis = nowMillis()
    heartbeats++
  }

  /** Takes note of its answer; returns what the round has come to, if that ends it with any grants. */
  fun answered(
    granted: Int,
    open: Int,
  ): String? {
    grants += granted
    if (heartbeats == 0 || open > 0) return null
    val sentence = "$grants containers granted within $heartbeats heartbeats, ${nowMillis() - beganMillis} ms"
    return sentence.takeIf { grants > 0 }.also {
      heartbeats = 0
      grants = 0
    }
  }
}

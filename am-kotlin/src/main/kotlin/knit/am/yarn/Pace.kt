package knit.am.yarn

/** How long to wait between heartbeats: little while something is about to happen, a second when nothing is. */
internal class Pace(
  private val nowMillis: () -> Long,
) {
  private var wishMillis = nowMillis()
  private var changeMillis = wishMillis

  /** Something has changed; [isWish] if it is something we now wait for. */
  fun changed(isWish: Boolean) {
    changeMillis = nowMillis()
    if (isWish) wishMillis = changeMillis
  }

  /** Milliseconds until the next heartbeat, unless something changes. */
  fun interval(): Long {
    val now = nowMillis()
    val sinceWish = now - wishMillis
    return when {
      sinceWish < 200 -> 50
      sinceWish < 600 -> 100
      sinceWish < 5_000 || now - changeMillis < 3_000 -> 250
      sinceWish < 30_000 -> 500
      else -> IDLE_MILLIS
    }
  }

  /** Milliseconds until the next try, after [count] failures in a row. */
  fun afterFailures(count: Int): Long = (IDLE_MILLIS / 2 shl count.coerceAtMost(5)).coerceAtMost(10_000)

  private companion object {
    const val IDLE_MILLIS = 1_000L
  }
}

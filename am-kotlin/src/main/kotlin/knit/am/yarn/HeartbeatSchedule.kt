package knit.am.yarn

/** How long to wait between heartbeats: little while something is about to happen, seconds when nothing is. */
internal class HeartbeatSchedule(
  private val nowMillis: () -> Long,
) {
  private var demandMillis = nowMillis()
  private var changeMillis = demandMillis

  /** Something has changed; [isDemand] if it is something we now wait for. */
  fun changed(isDemand: Boolean) {
    changeMillis = nowMillis()
    if (isDemand) demandMillis = changeMillis
  }

  /** Milliseconds until the next heartbeat, unless something changes. */
  fun interval(): Long {
    val now = nowMillis()
    val sinceDemand = now - demandMillis
    return when {
      sinceDemand < 200 -> FLOOR_MILLIS
      sinceDemand < 600 -> 100
      sinceDemand < 5_000 || now - changeMillis < 3_000 -> 250
      sinceDemand < 30_000 -> 500
      now - changeMillis < QUIET_AFTER_MILLIS -> IDLE_MILLIS
      else -> QUIET_MILLIS
    }
  }

  /** Milliseconds until the next try, after [count] failures in a row. */
  fun afterFailures(count: Int): Long = (IDLE_MILLIS / 2 shl count.coerceAtMost(5)).coerceAtMost(10_000)

  companion object {
    /** Between the beginnings of any two: the RM grants when a node reports to it, so asking more often brings nothing. */
    const val FLOOR_MILLIS = 50L

    private const val IDLE_MILLIS = 1_000L

    /** A thousand services that run for days are heard by one RM: so they need not be heard every second. */
    private const val QUIET_MILLIS = 3_000L
    private const val QUIET_AFTER_MILLIS = 300_000L
  }
}

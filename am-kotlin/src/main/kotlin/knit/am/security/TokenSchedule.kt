package knit.am.security

import java.time.Duration
import java.time.Instant

/**
 * When to fetch delegation tokens, and when to renew those that were fetched.
 *
 * A token lives for an interval (a day by default), and for as long again each time that it is renewed, up to a maximum (a week).
 * The interval is the server's to know: the first renewal, right after the fetch, tells it.
 *
 * - Tokens are fetched anew, from each place by itself, after [PART] of the interval, so that what is launched is given young
 *   ones; but not more than [MOST_GENERATIONS] times within their maximum, for the server keeps all of them.
 * - All that were fetched are renewed to their maximum: running containers hold them.
 * - What fails is tried again, later each time.
 *
 * Not for several threads at a time.
 *
 * @param T what stands for a token
 * @param places where tokens are fetched; at first, all at [start]
 */
internal class TokenSchedule<T : Any>(
  places: Collection<String>,
  start: Instant,
) {
  sealed interface Step<out T> {
    data class Fetch(
      val place: String,
    ) : Step<Nothing>

    data class Renew<T>(
      val token: T,
    ) : Step<T>

    data class Wait(
      val until: Instant,
    ) : Step<Nothing>
  }

  private class Place(
    var nextFetch: Instant,
  ) {
    var lastFetch: Instant? = null
    var failures = 0
  }

  private class Kept<T>(
    val token: T,
    val place: Place,
    val fetched: Instant,
    val maxTime: Instant?,
  ) {
    var nextRenewal = fetched
    var expiry: Instant? = null
    var failures = 0
  }

  private val places = places.associateWith { Place(start) }
  private val kept = ArrayList<Kept<T>>()

  /** How many tokens are being renewed. */
  val size: Int
    get() = kept.size

  fun next(now: Instant): Step<T> {
    kept.removeAll { it.isOver(now) }
    val renewal = kept.minByOrNull { it.nextRenewal }
    val fetch = places.entries.minByOrNull { it.value.nextFetch }
    return when {
      renewal != null && renewal.nextRenewal <= now -> Step.Renew(renewal.token)
      fetch != null && fetch.value.nextFetch <= now -> Step.Fetch(fetch.key)
      else -> Step.Wait(listOfNotNull(renewal?.nextRenewal, fetch?.value?.nextFetch).minOrNull() ?: now.plus(UNTOLD_INTERVAL))
    }
  }

  /** @param tokens each with when it ends whatever is done; null where that is not known */
  fun fetched(
    place: String,
    tokens: Map<T, Instant?>,
    now: Instant,
  ) {
    val at = places.getValue(place)
    at.failures = 0
    at.lastFetch = now
    at.nextFetch = now.plus(UNTOLD_INTERVAL.times(PART))
    tokens.forEach { (token, maxTime) -> kept += Kept(token, at, now, maxTime) }
    // Of what nobody can renew the maximum is all that is known.
    tokens.values
      .filterNotNull()
      .minOrNull()
      ?.let { at.fetchBefore(now.plus(Duration.between(now, it).times(PART)), now) }
  }

  /** Whether the last fetch came to nothing. */
  fun hasFailed(place: String): Boolean = places.getValue(place).failures > 0

  /** Returns how often it has failed in a row. */
  fun fetchFailed(
    place: String,
    now: Instant,
  ): Int {
    val at = places.getValue(place)
    at.failures++
    at.nextFetch = now.plus(pauseAfter(at.failures))
    return at.failures
  }

  /** A token has been renewed, and lives until [expiry]. */
  fun renewed(
    token: T,
    expiry: Instant,
    now: Instant,
  ) {
    val held = kept.firstOrNull { it.token == token } ?: return
    val isFirst = held.expiry == null
    held.expiry = expiry
    held.failures = 0
    val interval = Duration.between(now, expiry)
    if (isFirst && held.place.lastFetch == held.fetched) {
      val fewest = held.maxTime?.let { Duration.between(now, it).dividedBy(MOST_GENERATIONS) } ?: Duration.ZERO
      held.place.fetchBefore(now.plus(maxOf(interval.times(PART), fewest)), now)
    }
    val isLast = held.maxTime != null && expiry >= held.maxTime
    if (isLast || interval <= Duration.ZERO) kept -= held else held.nextRenewal = now.plus(interval.times(PART))
  }

  /**
   * A token was not renewed.
   *
   * @param isForGood whether that would come to nothing another time, too
   */
  fun renewalFailed(
    token: T,
    isForGood: Boolean,
    now: Instant,
  ): Int {
    val held = kept.firstOrNull { it.token == token } ?: return 0
    held.failures++
    held.nextRenewal = now.plus(pauseAfter(held.failures))
    if (isForGood) kept -= held
    return held.failures
  }

  private fun Kept<T>.isOver(now: Instant) = listOfNotNull(expiry, maxTime).any { it <= now }

  private fun Place.fetchBefore(
    time: Instant,
    now: Instant,
  ) {
    nextFetch = minOf(nextFetch, maxOf(time, now.plus(FIRST_PAUSE)))
  }

  companion object {
    /** Of a token's interval, after which it is renewed and others are fetched: a quarter is left for servers that are away. */
    const val PART = 0.75

    /** Of one place, all that live and are renewed at a time. */
    const val MOST_GENERATIONS = 16L

    /** Hadoop's default. */
    val UNTOLD_INTERVAL: Duration = Duration.ofDays(1)
    private val FIRST_PAUSE: Duration = Duration.ofSeconds(5)
    private val LONGEST_PAUSE: Duration = Duration.ofMinutes(10)
    private const val MOST_DOUBLINGS = 7

    private fun pauseAfter(failures: Int): Duration =
      minOf(FIRST_PAUSE.multipliedBy(1L shl (failures - 1).coerceAtMost(MOST_DOUBLINGS)), LONGEST_PAUSE)

    private fun Duration.times(part: Double): Duration = Duration.ofMillis((toMillis() * part).toLong())
  }
}

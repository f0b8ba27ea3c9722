package knit.am.security

import java.time.Duration
import java.time.Instant

/** What tokens are fetched for, which says who renews them. */
internal enum class TokenUse {
  /** For this application, which renews them itself. */
  OWN,

  /** For programs to submit applications with: the RM renews them from then on, and before that nobody. */
  SUBMISSION,
}

/**
 * When to fetch delegation tokens, and when to renew those that were fetched.
 *
 * A token lives for an interval (a day by default), and for as long again each time that it is renewed, up to a maximum (a week).
 * The interval is the server's to know: the first renewal, right after the fetch, tells it.
 *
 * - Tokens are fetched anew, from each place by itself, after [PART] of the interval, so that what is launched is given young
 *   ones; but not more than [MOST_GENERATIONS] times within their maximum, for the server keeps all of them.
 * - All that were fetched are renewed to their maximum: running containers hold them.
 * - Those for [TokenUse.SUBMISSION] come from the same places, and are not renewed: the server forgets them after an interval,
 *   which those of the same place have told.
 * - What fails is tried again, later each time.
 *
 * Not for several threads at a time.
 *
 * @param T what stands for a token
 * @param places where tokens are fetched; at first, all at [start]
 * @param submissionStart from when on those for [TokenUse.SUBMISSION] are as well; null: never
 */
internal class TokenSchedule<T : Any>(
  places: Collection<String>,
  start: Instant,
  submissionStart: Instant? = null,
) {
  sealed interface Step<out T> {
    data class Fetch(
      val place: String,
      val use: TokenUse = TokenUse.OWN,
    ) : Step<Nothing>

    data class Renew<T>(
      val token: T,
    ) : Step<T>

    data class Wait(
      val until: Instant,
    ) : Step<Nothing>
  }

  private class Fetches(
    var next: Instant,
  ) {
    var last: Instant? = null
    var failures = 0

    fun before(
      time: Instant,
      now: Instant,
    ) {
      next = minOf(next, maxOf(time, now.plus(FIRST_PAUSE)))
    }
  }

  private class Place(
    val fetches: Map<TokenUse, Fetches>,
  ) {
    /** The shortest of those that were fetched last; null: none has told yet. */
    var interval: Duration? = null
    var toldBy: Instant? = null

    val own
      get() = fetches.getValue(TokenUse.OWN)

    fun told(told: Duration) {
      interval = interval?.takeIf { toldBy == own.last }?.let { minOf(it, told) } ?: told
      toldBy = own.last
    }
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

  private val starts = mapOf(TokenUse.OWN to start) + listOfNotNull(submissionStart?.let { TokenUse.SUBMISSION to maxOf(it, start) })
  private val places = places.associateWith { Place(starts.mapValues { (_, start) -> Fetches(start) }) }
  private val kept = ArrayList<Kept<T>>()

  /** How many tokens are being renewed. */
  val size: Int
    get() = kept.size

  fun next(now: Instant): Step<T> {
    kept.removeAll { it.isOver(now) }
    val renewal = kept.minByOrNull { it.nextRenewal }
    val fetch =
      places.entries
        .flatMap { (name, place) -> place.fetches.map { (use, fetches) -> fetches.next to Step.Fetch(name, use) } }
        .minWithOrNull(compareBy({ it.first }, { it.second.use }))
    return when {
      renewal != null && renewal.nextRenewal <= now -> Step.Renew(renewal.token)
      fetch != null && fetch.first <= now -> fetch.second
      else -> Step.Wait(listOfNotNull(renewal?.nextRenewal, fetch?.first).minOrNull() ?: now.plus(UNTOLD_INTERVAL))
    }
  }

  /** @param tokens each with when it ends whatever is done; null where that is not known */
  fun fetched(
    place: String,
    tokens: Map<T, Instant?>,
    now: Instant,
  ) {
    val at = places.getValue(place)
    at.own.succeeded(now, UNTOLD_INTERVAL)
    tokens.forEach { (token, maxTime) -> kept += Kept(token, at, now, maxTime) }
    forgetOldest { it.place === at && it.maxTime == null }
    // Of what nobody can renew the maximum is all that is known.
    tokens.values
      .filterNotNull()
      .minOrNull()
      ?.let { at.own.before(now.plus(Duration.between(now, it).times(PART)), now) }
  }

  /**
   * Those for [TokenUse.SUBMISSION] have come.
   *
   * Returns when they end unless an application is submitted with them; null where that is not known.
   */
  fun fetchedForSubmission(
    place: String,
    now: Instant,
  ): Instant? {
    val at = places.getValue(place)
    at.fetches.getValue(TokenUse.SUBMISSION).succeeded(now, at.interval ?: UNTOLD_INTERVAL)
    return at.interval?.let { now.plus(it) }
  }

  /** Whether the last fetch came to nothing. */
  fun hasFailed(
    place: String,
    use: TokenUse = TokenUse.OWN,
  ): Boolean =
    places
      .getValue(place)
      .fetches
      .getValue(use)
      .failures > 0

  /** Returns how often it has failed in a row. */
  fun fetchFailed(
    place: String,
    now: Instant,
    use: TokenUse = TokenUse.OWN,
  ): Int {
    val fetches = places.getValue(place).fetches.getValue(use)
    fetches.failures++
    fetches.next = now.plus(pauseAfter(fetches.failures))
    return fetches.failures
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
    if (isFirst && held.place.own.last == held.fetched) held.place.learn(interval, held.maxTime, now)
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

  /** Of what tells no maximum, nobody else says when it need not be renewed any more. */
  private fun forgetOldest(isMeant: (Kept<T>) -> Boolean) {
    val fetches = kept.filter(isMeant).map { it.fetched }.distinct()
    if (fetches.size > MOST_GENERATIONS) kept.removeAll { isMeant(it) && it.fetched == fetches.first() }
  }

  private fun Kept<T>.isOver(now: Instant) = listOfNotNull(expiry, maxTime).any { it <= now }

  private fun Place.learn(
    told: Duration,
    maxTime: Instant?,
    now: Instant,
  ) {
    val fewest = maxTime?.let { Duration.between(now, it).dividedBy(MOST_GENERATIONS) } ?: Duration.ZERO
    own.before(now.plus(maxOf(told.times(PART), fewest)), now)
    told(told)
    fetches[TokenUse.SUBMISSION]?.let { those -> those.last?.let { those.before(it.plus(told.times(PART)), now) } }
  }

  private fun Fetches.succeeded(
    now: Instant,
    interval: Duration,
  ) {
    failures = 0
    last = now
    next = now.plus(interval.times(PART))
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

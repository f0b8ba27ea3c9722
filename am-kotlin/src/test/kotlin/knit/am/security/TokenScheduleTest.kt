package knit.am.security

import knit.am.security.TokenSchedule.Step
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.time.Duration
import java.time.Instant

class TokenScheduleTest {
  private val start = Instant.parse("2026-11-27T00:00:00Z")

  /** A service that gives out tokens, as YARN's and HDFS's do: each lives for [interval], and for as long again after each renewal. */
  private class Service(
    val interval: Duration,
    val maximum: Duration,
  ) {
    class Issued(
      var expiry: Instant,
      val maxTime: Instant,
    )

    val issued = ArrayList<Issued>()

    /** Those for submissions, which nobody renews. */
    val others = ArrayList<Issued>()
    var renewals = 0
    var isAway = false

    fun issue(now: Instant) = make(now).also { issued += it }

    fun make(now: Instant) = Issued(now.plus(interval), now.plus(maximum))

    /** Null: it is gone. */
    fun renew(
      token: Issued,
      now: Instant,
    ): Instant? {
      if (now >= token.expiry) return null
      renewals++
      token.expiry = minOf(now.plus(interval), token.maxTime)
      return token.expiry
    }
  }

  /** An application of a place for each service, and the time in it. */
  private inner class Run(
    vararg named: Pair<String, Service>,
    submissionStart: Instant? = null,
  ) {
    val services = mapOf(*named)
    val schedule = TokenSchedule<Service.Issued>(services.keys, start, submissionStart)
    val fetches = services.keys.associateWith { ArrayList<Instant>() }
    var now: Instant = start
    var attempts = 0

    /** When those for submissions end, as the schedule says it. */
    val told = ArrayList<Instant?>()

    /** Does what the schedule says until [end]; [look] is called whenever time has passed. */
    fun until(
      end: Instant,
      look: () -> Unit = {},
    ) {
      while (now < end) {
        when (val step = schedule.next(now)) {
          is Step.Fetch -> fetch(step.place, step.use)
          is Step.Renew -> renew(step.token)
          is Step.Wait -> now = minOf(end, maxOf(step.until, now.plusMillis(1)))
        }
        look()
      }
    }

    private fun fetch(
      place: String,
      use: TokenUse,
    ) {
      attempts++
      val service = services.getValue(place)
      if (service.isAway) {
        schedule.fetchFailed(place, now, use)
        return
      }
      if (use == TokenUse.SUBMISSION) {
        service.others += service.make(now)
        told += schedule.fetchedForSubmission(place, now)
        return
      }
      fetches.getValue(place) += now
      service.issue(now).let { schedule.fetched(place, mapOf(it to it.maxTime), now) }
    }

    private fun renew(token: Service.Issued) {
      attempts++
      val service = services.values.first { token in it.issued }
      val expiry = if (service.isAway) null else service.renew(token, now)
      if (expiry == null) schedule.renewalFailed(token, isForGood = !service.isAway, now) else schedule.renewed(token, expiry, now)
    }
  }

  private val day = Duration.ofDays(1)
  private val week = Duration.ofDays(7)

  @Test
  fun whatIsFetchedLivesToItsMaximumAndThereIsAlwaysAYoungOne() {
    val service = Service(day, week)
    val run = Run("hdfs://ns" to service)
    run.until(start.plus(week.multipliedBy(6))) {
      val youngest = service.issued.lastOrNull() ?: return@until
      assertTrue(youngest.expiry > run.now, "what is launched now can read at ${run.now}")
      assertTrue(Duration.between(run.now, youngest.maxTime) >= week.minus(day), "and for days to come")
      assertTrue(run.schedule.size <= TokenSchedule.MOST_GENERATIONS)
    }
    val over = service.issued.filter { it.maxTime < run.now }
    assertTrue(over.size > 20)
    assertTrue(over.all { it.expiry == it.maxTime }, "running containers hold them")
    val between = run.fetches.getValue("hdfs://ns").zipWithNext { a, b -> Duration.between(a, b) }
    assertEquals(setOf(Duration.ofHours(18)), between.toSet())
  }

  @Test
  fun lifetimesOfSecondsDoToo() {
    val service = Service(Duration.ofSeconds(30), Duration.ofSeconds(75))
    val run = Run("hdfs://ns" to service)
    run.until(start.plusSeconds(600)) {
      service.issued.lastOrNull()?.let { assertTrue(it.expiry > run.now) }
    }
    assertTrue(service.issued.filter { it.maxTime < run.now }.all { it.expiry == it.maxTime })
    assertTrue(service.issued.size in 20..40, "${service.issued.size}")
  }

  @Test
  fun whereTokensAreRenewedEveryHourTheyAreNotFetchedThatOften() {
    val service = Service(Duration.ofHours(1), week)
    val run = Run("hdfs://ns" to service)
    run.until(start.plus(week.multipliedBy(2))) { assertTrue(run.schedule.size <= TokenSchedule.MOST_GENERATIONS + 1) }
    assertTrue(service.issued.size <= 2 * TokenSchedule.MOST_GENERATIONS + 1, "${service.issued.size}")
    assertTrue(service.issued.filter { it.maxTime < run.now }.all { it.expiry == it.maxTime })
  }

  @Test
  fun forSubmissionsThereIsAlwaysOneThatLivesFromTheirTimeOn() {
    val service = Service(day, week)
    val from = start.plus(Duration.ofDays(5))
    val run = Run("hdfs://ns" to service, submissionStart = from)
    run.until(from)
    assertEquals(emptyList<Any>(), service.others)
    run.until(start.plus(week.multipliedBy(6))) {
      if (run.now <= from) return@until
      val alive = service.others.filter { it.expiry > run.now }
      assertTrue(alive.size in 1..2, "the server keeps ${alive.size} at ${run.now}")
      assertTrue(Duration.between(run.now, alive.last().expiry) >= day.dividedBy(4), "what is launched now can submit for hours")
    }
    assertEquals(service.others.map { it.expiry }, run.told)
    assertTrue(service.issued.filter { it.maxTime < run.now }.all { it.expiry == it.maxTime }, "the others are none the worse")
  }

  @Test
  fun forSubmissionsTheyAreFetchedAsOftenAsTheyEnd() {
    for (interval in listOf(Duration.ofSeconds(30), Duration.ofHours(1))) {
      val service = Service(interval, week)
      val run = Run("hdfs://ns" to service, submissionStart = start)
      val end = start.plus(interval.multipliedBy(30))
      run.until(end) { if (service.others.isNotEmpty()) assertTrue(service.others.last().expiry > run.now) }
      assertTrue(service.others.size in 39..41, "${service.others.size}")
      assertTrue(service.issued.size <= TokenSchedule.MOST_GENERATIONS)
    }
  }

  @Test
  fun whereNoIntervalIsToldThoseForSubmissionsAreFetchedAsByHadoopsDefault() {
    val schedule = TokenSchedule<String>(listOf("a"), start, submissionStart = start)
    schedule.fetched("a", mapOf("one" to start.plus(week)), start)
    schedule.renewalFailed("one", isForGood = true, start)
    assertEquals(Step.Fetch("a", TokenUse.SUBMISSION), schedule.next(start))
    assertEquals(null, schedule.fetchedForSubmission("a", start))
    assertEquals(Step.Wait(start.plus(Duration.ofHours(18))), schedule.next(start))
  }

  @Test
  fun oneUseIsTriedAgainWithoutTheOther() {
    val schedule = TokenSchedule<String>(listOf("a"), start, submissionStart = start)
    schedule.fetched("a", mapOf("one" to start.plus(week)), start)
    schedule.renewed("one", start.plus(day), start)
    assertEquals(1, schedule.fetchFailed("a", start, TokenUse.SUBMISSION))
    assertTrue(schedule.hasFailed("a", TokenUse.SUBMISSION))
    assertFalse(schedule.hasFailed("a"))
    assertEquals(Step.Wait(start.plusSeconds(5)), schedule.next(start))
    assertEquals(start.plusSeconds(5).plus(day), schedule.fetchedForSubmission("a", start.plusSeconds(5)))
    assertFalse(schedule.hasFailed("a", TokenUse.SUBMISSION))
  }

  @Test
  fun eachPlaceHasItsOwnTimes() {
    val short = Service(Duration.ofHours(2), day)
    val long = Service(day, week)
    val run = Run("hdfs://short" to short, "hdfs://long" to long)
    run.until(start.plus(Duration.ofDays(2)))
    assertTrue(short.issued.size in 28..33, "${short.issued.size}")
    assertEquals(3, long.issued.size)
  }

  @Test
  fun aServiceThatIsAwayIsTriedAgainLessAndLessOftenAndLosesNothingForIt() {
    val service = Service(day, week)
    val run = Run("hdfs://ns" to service)
    run.until(start.plus(Duration.ofHours(17)))
    service.isAway = true
    run.attempts = 0
    run.until(start.plus(Duration.ofHours(23)))
    assertTrue(run.attempts in 30..160, "${run.attempts}")
    service.isAway = false
    run.until(start.plus(week)) { assertTrue(service.issued.last().expiry > run.now) }
    assertTrue(service.issued.filter { it.maxTime <= run.now }.all { it.expiry == it.maxTime })
  }

  @Test
  fun ofOnePlaceThatIsAwayTheOthersAreNoneTheWorse() {
    val gone = Service(day, week).apply { isAway = true }
    val there = Service(day, week)
    val run = Run("hdfs://gone" to gone, "hdfs://there" to there)
    run.until(start.plus(week))
    assertEquals(10, there.issued.size)
    assertTrue(run.schedule.hasFailed("hdfs://gone"))
  }

  @Test
  fun whatIsRefusedForGoodIsLeftAlone() {
    val schedule = TokenSchedule<String>(listOf("a"), start)
    assertEquals(Step.Fetch("a"), schedule.next(start))
    schedule.fetched("a", mapOf("one" to start.plus(week), "two" to null), start)
    assertEquals(Step.Renew("one"), schedule.next(start))
    schedule.renewalFailed("one", isForGood = true, start)
    assertEquals(Step.Renew("two"), schedule.next(start))
    assertEquals(1, schedule.renewalFailed("two", isForGood = false, start))
    assertEquals(Step.Wait(start.plusSeconds(5)), schedule.next(start))
    assertEquals(2, schedule.renewalFailed("two", isForGood = false, start.plusSeconds(5)))
    assertEquals(Step.Wait(start.plusSeconds(15)), schedule.next(start.plusSeconds(5)))
  }

  @Test
  fun whatNobodyCanRenewIsFetchedAnewBeforeADayIsOver() {
    val schedule = TokenSchedule<String>(listOf("a"), start)
    schedule.fetched("a", mapOf("one" to start.plus(week)), start)
    schedule.renewalFailed("one", isForGood = true, start)
    assertEquals(Step.Wait(start.plus(Duration.ofHours(18))), schedule.next(start))
  }

  @Test
  fun whatTellsNoMaximumIsRenewedForSoManyGenerationsAndNoLonger() {
    val schedule = TokenSchedule<Int>(listOf("a"), start)
    var now = start
    var fetched = 0
    while (now < start.plus(Duration.ofDays(60))) {
      when (val step = schedule.next(now)) {
        is Step.Fetch -> schedule.fetched("a", mapOf(++fetched to null, -fetched to null), now)
        is Step.Renew -> schedule.renewed(step.token, now.plus(day), now)
        is Step.Wait -> now = step.until
      }
      assertTrue(schedule.size <= 2 * TokenSchedule.MOST_GENERATIONS, "${schedule.size} at $now")
    }
    assertTrue(fetched > 70, "$fetched")
    assertEquals(2 * TokenSchedule.MOST_GENERATIONS, schedule.size.toLong(), "running containers hold them")
  }

  @Test
  fun whatEndsAtOnceIsNotFetchedInALoop() {
    val schedule = TokenSchedule<String>(listOf("a"), start)
    schedule.fetched("a", mapOf("one" to start.plusMillis(10)), start)
    assertEquals(Step.Wait(start.plusSeconds(5)), schedule.next(start.plusMillis(20)))
  }

  @Test
  fun theShortestIntervalOfWhatWasFetchedLastCounts() {
    val schedule = TokenSchedule<String>(listOf("a"), start, submissionStart = start.plus(week))
    schedule.fetched("a", mapOf("hour" to start.plus(week), "day" to start.plus(week)), start)
    schedule.renewed("hour", start.plusSeconds(3600), start)
    schedule.renewed("day", start.plus(day), start)
    assertEquals(start.plusSeconds(3600), schedule.fetchedForSubmission("a", start))
    // The server was told otherwise meanwhile.
    val later = start.plus(Duration.ofHours(18))
    schedule.fetched("a", mapOf("longer" to later.plus(week)), later)
    schedule.renewed("longer", later.plus(day), later)
    assertEquals(later.plus(day), schedule.fetchedForSubmission("a", later))
  }

  @Test
  fun anOldOneThatIsRenewedAtLastDoesNotHurryTheNextFetch() {
    val schedule = TokenSchedule<String>(listOf("a"), start)
    schedule.fetched("a", mapOf("old" to start.plus(week)), start)
    schedule.renewalFailed("old", isForGood = false, start)
    val later = start.plus(Duration.ofHours(18))
    schedule.fetched("a", mapOf("new" to later.plus(week)), later)
    schedule.renewed("new", later.plus(day), later)
    schedule.renewed("old", later.plusSeconds(60), later)
    schedule.renewalFailed("old", isForGood = true, later)
    assertEquals(Step.Wait(later.plus(Duration.ofHours(18))), schedule.next(later))
  }

  @Test
  fun whatHasEndedIsNotRenewedAndWhatHasRecoveredCountsAnew() {
    val schedule = TokenSchedule<String>(listOf("a"), start)
    schedule.fetched("a", mapOf("one" to start.plus(week)), start)
    assertEquals(1, schedule.renewalFailed("one", isForGood = false, start))
    assertEquals(2, schedule.renewalFailed("one", isForGood = false, start))
    schedule.renewed("one", start.plusSeconds(60), start)
    assertEquals(1, schedule.renewalFailed("one", isForGood = false, start))
    assertEquals(1, schedule.size)
    schedule.next(start.plusSeconds(60))
    assertEquals(0, schedule.size)
  }

  @Test
  fun aTokenThatARenewalDoesNotHelpIsLeft() {
    val schedule = TokenSchedule<String>(listOf("a"), start)
    schedule.fetched("a", mapOf("one" to null), start)
    schedule.renewed("one", start.minusSeconds(1), start)
    assertEquals(0, schedule.size)
  }

  @Test
  fun ofTwoThatAreDueAtOnceOurOwnComesFirst() {
    val schedule = TokenSchedule<String>(listOf("a"), start, submissionStart = start.minusSeconds(60))
    assertEquals(Step.Fetch("a", TokenUse.OWN), schedule.next(start))
  }
}

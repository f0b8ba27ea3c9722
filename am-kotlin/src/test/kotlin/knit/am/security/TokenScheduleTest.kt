package knit.am.security

import knit.am.security.TokenSchedule.Step
import org.junit.jupiter.api.Assertions.assertEquals
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
    var renewals = 0
    var isAway = false

    fun issue(now: Instant) = Issued(now.plus(interval), now.plus(maximum)).also { issued += it }

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
  ) {
    val services = mapOf(*named)
    val schedule = TokenSchedule<Service.Issued>(services.keys, start)
    val fetches = services.keys.associateWith { ArrayList<Instant>() }
    var now: Instant = start
    var attempts = 0

    /** Does what the schedule says until [end]; [look] is called whenever time has passed. */
    fun until(
      end: Instant,
      look: () -> Unit = {},
    ) {
      while (now < end) {
        when (val step = schedule.next(now)) {
          is Step.Fetch -> fetch(step.place)
          is Step.Renew -> renew(step.token)
          is Step.Wait -> now = minOf(end, maxOf(step.until, now.plusMillis(1)))
        }
        look()
      }
    }

    private fun fetch(place: String) {
      attempts++
      val service = services.getValue(place)
      if (service.isAway) {
        schedule.fetchFailed(place, now)
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
}

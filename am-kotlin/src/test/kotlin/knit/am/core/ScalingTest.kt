package knit.am.core

import knit.am.core.ContainerState.PENDING
import knit.am.core.ContainerState.REQUESTED
import knit.am.core.ContainerState.RUNNING
import knit.am.core.ContainerState.STOPPED
import knit.am.core.ContainerState.STOPPING
import knit.am.core.ContainerState.SUCCEEDED
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class ScalingTest {
  /** Rank 0 runs, 1 is launched, 2 and 3 wait for YARN. */
  private val mixed = registered("worker" to service(instances = 4)).after(granted(1), started(1), granted(2))

  private fun to(
    count: Int,
    order: ScaleDownOrder? = null,
    vararg victims: Int,
  ) = ScaleService("worker", Amount.Count(count), order, victims.map { ContainerRef("worker", it) })

  private fun by(delta: Int) = ScaleService("worker", Amount.Delta(delta))

  private fun List<Container>.ranks() = map { it.key.place.rank }

  @Test
  fun eachOrderHasItsVictims() {
    val table =
      listOf(
        Triple(null, 1, listOf(3)),
        Triple(ScaleDownOrder.HIGHEST_RANK_FIRST, 3, listOf(3, 2, 1)),
        Triple(ScaleDownOrder.NEWEST_FIRST, 2, listOf(3, 2)),
        Triple(ScaleDownOrder.OLDEST_FIRST, 1, listOf(2)),
        Triple(ScaleDownOrder.OLDEST_FIRST, 2, listOf(2, 3)),
        Triple(ScaleDownOrder.OLDEST_FIRST, 3, listOf(2, 3, 0)),
        Triple(ScaleDownOrder.OLDEST_FIRST, 4, listOf(2, 3, 0, 1)),
      )
    for ((order, fewer, victims) in table) {
      assertEquals(
        victims,
        mixed
          .decide(to(4 - fewer, order), NOW)
          .answer.stopped
          .ranks(),
        "$order, $fewer fewer",
      )
    }
  }

  @Test
  fun whatHasEndedGoesLastUnlessRanksAreToStayWithoutGaps() {
    val half = mixed.after(completed(2), granted(3), started(3))
    assertEquals(
      listOf(3, 0, 2),
      half
        .decide(to(1, ScaleDownOrder.OLDEST_FIRST), NOW)
        .answer.stopped
        .ranks(),
    )
    assertEquals(
      listOf(3, 2, 0),
      half
        .decide(to(1, ScaleDownOrder.NEWEST_FIRST), NOW)
        .answer.stopped
        .ranks(),
    )
    val none = half.decide(to(0), NOW)
    assertEquals(listOf(3, 2, 0), none.answer.stopped.ranks(), "rank 1 is retired too, and nothing of it ends")
    assertEquals(0, none.application.tally("worker").ranks)
  }

  @Test
  fun theNamedGoFirstAndEndScaledDown() {
    val decision = mixed.decide(to(2, null, 0), NOW)
    assertEquals(listOf(0, 3), decision.answer.stopped.ranks())
    assertEquals(listOf(STOPPING, STOPPED), decision.answer.stopped.map { it.state })
    assertEquals(
      ExitReason.SCALED_DOWN,
      decision.answer.stopped[1]
        .exit
        ?.reason,
    )
    assertEquals(2, decision.answer.service.target)
    assertEquals(decision.application.sequence, decision.answer.sequence)
    val ended = decision.application.after(completed(1, 143))
    assertEquals(ExitReason.SCALED_DOWN, ended.container(id(1))?.exit?.reason)
    assertEquals(STOPPED, ended.stateOf(1), "whatever its exit code")
    assertEquals(mapOf(SMALL to 1), ended.wanted())
  }

  @Test
  fun theServicesOwnOrderHoldsWhereTheRequestHasNone() {
    val spec = service(instances = 3).copy(scaleDownOrder = ScaleDownOrder.OLDEST_FIRST)
    assertEquals(
      listOf(0),
      registered("worker" to spec)
        .decide(by(-1), NOW)
        .answer.stopped
        .ranks(),
    )
    assertEquals(
      listOf(2),
      registered("worker" to spec)
        .decide(by(-1).copy(order = ScaleDownOrder.NEWEST_FIRST), NOW)
        .answer.stopped
        .ranks(),
    )
  }

  @Test
  fun aDeltaStopsAtNoneAndACountOfAsManyChangesNothing() {
    assertEquals(
      4,
      mixed
        .decide(by(-9), NOW)
        .answer.stopped.size,
    )
    assertEquals(
      0,
      mixed
        .decide(by(Int.MIN_VALUE), NOW)
        .answer.service.target,
    )
    assertSame(mixed, mixed.decide(to(4), NOW).application)
    assertSame(mixed, mixed.decide(by(0), NOW).application)
  }

  @Test
  fun theLowestFreeRanksAreFilledWithTheirNextAttemptAndNewOrdinals() {
    val holes = mixed.after(to(2, null, 0, 2), completed(1))
    assertEquals(listOf(1, 3), holes.regularSlots("worker").map { it.rank }.toList())
    val decision = holes.decide(by(3), NOW.plusSeconds(1))
    assertEquals(listOf(key("worker", 0, 2), key("worker", 2, 2), key("worker", 4)), decision.answer.added.map { it.key })
    assertEquals(listOf(4, 5, 6), decision.answer.added.map { it.ordinal })
    assertEquals(List(3) { REQUESTED }, decision.answer.added.map { it.state })
    assertEquals(
      5,
      decision.application.services
        .getValue("worker")
        .target,
    )
    val last = decision.application.container(ContainerRef("worker", 6))
    assertEquals(key("worker", 4), last?.key)
  }

  @Test
  fun aRankThatIsStillBeingVacatedIsFilledOnceItIs() {
    val shrinking = mixed.after(to(0))
    val decision = shrinking.decide(to(1), NOW)
    assertEquals(listOf(key("worker", 0, 2)), decision.answer.added.map { it.key })
    assertEquals(
      PENDING,
      decision.answer.added
        .single()
        .state,
    )
    assertEquals(emptyMap<Resource, Int>(), decision.application.wanted())
    val vacated = decision.application.after(completed(1))
    assertEquals(REQUESTED, vacated.latest(PlaceKey("worker", 0))?.state)
    val running = vacated.after(granted(5), started(5))
    assertEquals(RUNNING, running.latest(PlaceKey("worker", 0))?.state)
  }

  @Test
  fun aRankThatIsFilledAgainHasItsBudgetsAnew() {
    val once = registered("worker" to service(instances = 2, maxRestarts = 1)).after(granted(1), completed(1, 1), granted(2), started(2))
    val again = once.after(to(1, null, 2), completed(2), to(2), granted(3), completed(3, 1))
    assertEquals(Phase.RUNNING, again.phase)
    assertEquals(4, again.latest(PlaceKey("worker", 0))?.key?.attemptNumber)
  }

  @Test
  fun aServiceWithoutRanksWaitsForSomeToCome() {
    val none = mixed.after(to(0), completed(1), completed(2))
    assertEquals(Phase.RUNNING, none.phase)
    assertEquals(0, none.openCount)
    val again = none.after(by(1), granted(7), completed(7))
    assertEquals(Phase.REPORTING, again.phase)
    assertEquals(FinalStatus.SUCCEEDED, again.outcome?.finalStatus)
  }

  @Test
  fun aServiceThatIsDoneIsScaledUpWhileTheApplicationRuns() {
    val done = registered("worker" to service(), "chief" to service()).after(granted(1), granted(2), completed(2))
    assertEquals(SUCCEEDED, done.latest(PlaceKey("worker", 0))?.state)
    val more = done.decide(to(2), NOW)
    assertEquals(listOf(key("worker", 1)), more.answer.added.map { it.key })
    assertEquals(Phase.REPORTING, more.application.after(completed(1), granted(3), completed(3)).phase)
  }

  @Test
  fun whatCannotBeScaledIsRefusedWithWhatToDo() {
    val table =
      listOf(
        to(-1) to "it must be 0 or more",
        to(4, null, 0) to "0 ranks of worker are to go",
        to(3, null, 0, 1) to "2 victims are named, and 1 ranks",
        to(3, null, 9) to "it never was",
        to(0).copy(victims = listOf(ContainerRef("chief", 0))) to "it is of another service",
        to(0).copy(serviceName = "wroker") to "There is no service 'wroker'",
        to(100_001) to "100000 is the most",
        by(Int.MAX_VALUE) to "100000 is the most",
        to(0).copy(victims = List(10_001) { ContainerRef("worker", it) }) to "10001 victims",
      )
    for ((request, words) in table) {
      val refused = assertThrows<AmException>("$request") { mixed.decide(request, NOW) }
      assertTrue(words in refused.message.orEmpty(), "'$words' in '${refused.message}'")
    }
    val ending = mixed.after(EndApplication(FinalStatus.KILLED, ""))
    assertEquals(Reason.APPLICATION_ENDING, assertThrows<AmException> { ending.decide(to(1), NOW) }.reason)
  }

  /** The rest is in the list of containers: an answer has to fit into a message. */
  @Test
  fun anAnswerListsSoManyAndNoMore() {
    val many = MAX_REQUESTED_CONTAINERS + 1
    val grown = registered("worker" to service(0)).decide(ScaleService("worker", Amount.Count(many)), NOW)
    assertEquals(many, grown.application.tally("worker").ranks)
    assertEquals(MAX_REQUESTED_CONTAINERS, grown.answer.added.size)
    val all = grown.application
    val stopped = all.decide(StopContainers(emptyList(), emptyList(), serviceNames = listOf("worker")), NOW)
    assertEquals(many, stopped.application.count(ContainerState.STOPPED))
    assertEquals(MAX_REQUESTED_CONTAINERS, stopped.answer.size)
    val shrunk = all.decide(ScaleService("worker", Amount.Count(0)), NOW)
    assertEquals(0, shrunk.application.tally("worker").ranks)
    assertEquals(MAX_REQUESTED_CONTAINERS, shrunk.answer.stopped.size)
    val victims = List(MAX_REQUESTED_CONTAINERS) { ContainerRef("worker", it) }
    val named = all.decide(ScaleService("worker", Amount.Count(1), victims = victims), NOW)
    assertEquals(
      listOf(many - 1),
      named.application.slots
        .getValue("worker")
        .filter { !it.isRetired }
        .map { it.rank },
    )
  }

  @Test
  fun aVictimThatWasReplacedMeanwhileIsNoVictim() {
    val restarted = registered("worker" to service(instances = 2, maxRestarts = 1)).after(granted(1), completed(1, 1))
    val refused = assertThrows<AmException.NotFound> { restarted.decide(to(1, null, 0), NOW) }
    assertEquals(Reason.NO_SUCH_CONTAINER, refused.reason)
    assertEquals(
      listOf(0),
      restarted
        .decide(to(1, null, 2), NOW)
        .answer.stopped
        .ranks(),
    )
  }

  @Test
  fun scalingOverAndOverUsesTheSameRanksAgain() {
    var application = registered("worker" to service(instances = 3))
    var lease = 0
    repeat(50) {
      application =
        application.after(
          granted(++lease),
          granted(++lease),
          granted(++lease),
          to(0),
          completed(lease - 2),
          completed(lease - 1),
          completed(lease),
        )
      application = application.after(to(3))
    }
    assertEquals(3, application.placeCount)
    assertEquals(153, application.tally("worker").total)
    assertEquals(listOf(150, 151, 152), application.regularSlots("worker").map { it.latest.ordinal }.toList())
  }

  @Test
  fun aRepeatedRequestIsToldAgainAsThingsAreNow() {
    for (delta in listOf(2, -2)) {
      val request = by(delta).copy(requestId = "once")
      val first = mixed.decide(request, NOW)
      val later = first.application.after(granted(7), completed(1, 143))
      val again = later.decide(request, NOW).answer
      assertEquals(first.answer.added.map { it.key }, again.added.map { it.key })
      assertEquals(first.answer.stopped.map { it.key }, again.stopped.map { it.key })
      assertEquals(again.added.map { later.container(it.key) }, again.added)
      assertEquals(4 + delta, again.service.target)
      assertEquals(first.answer.sequence, again.sequence)
    }
  }
}

package knit.am.core

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

class RequestsTest {
  private val application = registered("worker" to service(instances = 2))

  @Test
  fun addedContainersGetTheRanksAfterTheHighest() {
    val decision = application.after(granted(1), completed(1)).decide(adding("worker", 2, LARGE, mapOf("A" to "b")), NOW)
    assertEquals(listOf(key("worker", 2), key("worker", 3)), decision.answer.map { it.key })
    assertEquals(mapOf(SMALL to 1, LARGE to 2), decision.application.wanted())
    val added = decision.application.container(key("worker", 3))
    assertEquals(mapOf("A" to "b"), added?.environment)
    assertEquals(LARGE, added?.resource)
  }

  @Test
  fun aRepeatedRequestAddsNothingAndIsAnsweredAsTheFirstTime() {
    val first = application.decide(adding("worker", 2, LARGE, requestId = "one"), NOW)
    assertEquals(listOf(REQUESTED, REQUESTED), first.answer.map { it.state })
    val again = first.application.decide(adding("worker", 2, LARGE, requestId = "one"), NOW.plusSeconds(9))
    assertEquals(first.answer, again.answer)
    assertSame(first.application, again.application)
    val ended = first.application.after(EndApplication(FinalStatus.KILLED, ""))
    assertEquals(first.answer, ended.decide(adding("worker", 2, requestId = "one"), NOW).answer)
    assertEquals(4, ended.size)
  }

  @Test
  fun aRequestOfAnotherHistoryIsRefusedRatherThanDoneTwice() {
    val request = adding("worker", 1, requestId = "one")
    val first = application.decide(request.copy(historyId = HISTORY), NOW)
    assertEquals(first.answer, first.application.decide(request.copy(historyId = HISTORY), NOW).answer)
    assertThrows<AmException.OutOfRange> { first.application.decide(request.copy(historyId = "history-2"), NOW) }
      .mentions("history-2", "List the containers")
    assertThrows<AmException.OutOfRange> { application.decide(request.copy(requestId = "", historyId = "history-2"), NOW) }
  }

  @Test
  fun theVariablesOfAddedContainersHaveABoundInAllWhereTheyDiffer() {
    fun environment(number: Int) = (0..7).associate { "V$it" to "x".repeat(100_000) } + ("N" to "$number")
    var full = application
    assertThrows<AmException.ResourceExhausted> {
      for (number in 1..100) full = full.after(adding("worker", 1, environment = environment(number)))
    }.mentions("33554432")
    assertTrue(full.size > 30)
    assertEquals(full.size + 1, full.after(adding("worker", 1, environment = environment(1))).size, "equal ones take no room")
    assertEquals(full.size + 1, full.after(adding("worker", 1)).size)
  }

  @Test
  fun aStopNamesTenThousandAtMost() {
    val places = List(10_001) { PlaceKey("worker", 0) }
    assertThrows<AmException.InvalidArgument> { application.decide(StopContainers(emptyList(), places), NOW) }.mentions("10001", "10000")
    assertEquals(1, application.decide(StopContainers(emptyList(), places.drop(1)), NOW).answer.size)
  }

  @Test
  fun withoutARequestIdEveryCallAdds() {
    assertEquals(4, application.after(adding("worker", 1), adding("worker", 1)).size)
  }

  @Test
  fun whatCannotBeAddedIsRefusedWithWhatToDo() {
    assertThrows<AmException.NotFound> { application.decide(adding("wroker", 1), NOW) }.mentions("There is no service 'wroker'", "worker")
    assertThrows<AmException.InvalidArgument> { application.decide(adding("worker", 0), NOW) }.mentions("count is 0")
    assertThrows<AmException.InvalidArgument> { application.decide(adding("worker", 10_001), NOW) }.mentions("1 to 10000")
    assertThrows<AmException.InvalidArgument> { application.decide(adding("worker", 1, Resource(0, 1)), NOW) }.mentions("at least 1")
    assertThrows<AmException.InvalidArgument> { application.decide(adding("worker", 1, environment = mapOf("A B" to "")), NOW) }
      .mentions("'A B'")
    assertThrows<AmException.InvalidArgument> { application.decide(adding("worker", 1, environment = mapOf("A" to "\u0000")), NOW) }
      .mentions("NUL")
    assertThrows<AmException.InvalidArgument> {
      application.decide(
        adding("worker", 1, environment = mapOf("A" to "x".repeat(131_072))),
        NOW,
      )
    }.mentions("131071")
    assertThrows<AmException.ResourceExhausted> { application.decide(adding("worker", 1, Resource(8193, 1)), NOW) }.mentions("8192 MiB")
    assertThrows<AmException.InvalidArgument> {
      application.decide(
        adding("worker", 1, requestId = "é".repeat(129)),
        NOW,
      )
    }.mentions("258 bytes")
    val full = (1..9).fold(registered("worker" to service(instances = 9_999))) { soFar, _ -> soFar.after(adding("worker", 10_000)) }
    assertThrows<AmException.ResourceExhausted> { full.decide(adding("worker", 2), NOW).application.decide(adding("worker", 10_000), NOW) }
      .mentions("100000 is the most")
    assertThrows<AmException.Unavailable> { start("worker" to service()).decide(adding("worker", 1), NOW) }.mentions("Call again")
  }

  @Test
  fun theVariablesOfAllThatWereAddedHaveAMostAndEqualOnesCountOnce() {
    fun variables(number: Int) = (0..7).associate { "V$it" to "$number".padEnd(130_000) }
    val added = (1..32).fold(application) { soFar, number -> soFar.after(adding("worker", 1, environment = variables(number))) }
    assertThrows<AmException.ResourceExhausted> { added.decide(adding("worker", 1, environment = variables(33)), NOW) }
      .mentions("of at most 33554432")
    assertEquals(added.size + 2, added.after(adding("worker", 2, environment = variables(1))).size)
  }

  @Test
  fun anEndingApplicationTakesNoMore() {
    val ending = application.after(granted(1), EndApplication(FinalStatus.KILLED, ""))
    assertThrows<AmException.FailedPrecondition> { ending.decide(adding("worker", 1), NOW) }.mentions("is ending")
    assertThrows<AmException.FailedPrecondition> { ending.after(completed(1), Unregistered).decide(adding("worker", 1), NOW) }
      .mentions("has ended")
  }

  @Test
  fun aStopNamesContainersByIdentifierAndByPlace() {
    val running = application.after(granted(1), started(1))
    val decision = running.decide(StopContainers(listOf(id(1)), listOf(PlaceKey("worker", 0), PlaceKey("worker", 1))), NOW)
    assertEquals(listOf(key("worker", 0), key("worker", 1)), decision.answer.map { it.key })
    assertEquals(listOf(STOPPING, STOPPED), decision.answer.map { it.state })
    assertEquals(listOf(STOPPING, STOPPED), decision.application.states())
    assertEquals(listOf<Effect>(StopContainer(lease(1))), decision.effects)
  }

  @Test
  fun stoppingTwiceIsSafe() {
    val stopping = application.after(granted(1), stopping(1))
    val again = stopping.decide(stopping(1), NOW)
    assertSame(stopping, again.application)
    assertEquals(listOf(key("worker", 0)), again.answer.map { it.key })
    assertEquals(emptyList<Effect>(), again.effects)
  }

  @Test
  fun aFinalContainerStaysAsItIsAndItsReplacementToo() {
    val restarting = registered("worker" to service(maxRestarts = 1)).after(granted(1), completed(1, 1))
    assertSame(restarting, restarting.decide(stopping(1), NOW).application)
    val byPlace = restarting.decide(StopContainers(emptyList(), listOf(PlaceKey("worker", 0))), NOW)
    assertEquals(listOf(key("worker", 0, attemptNumber = 2)), byPlace.answer.map { it.key })
    assertEquals(Phase.REPORTING, byPlace.application.phase)
  }

  @Test
  fun stoppingTheLastEndsTheApplicationWell() {
    val ended = application.after(granted(1), completed(1), StopContainers(emptyList(), listOf(PlaceKey("worker", 1))))
    assertEquals(listOf(SUCCEEDED, STOPPED), ended.states())
    assertEquals(FinalStatus.SUCCEEDED, ended.outcome?.finalStatus)
  }

  @Test
  fun anUnknownNameStopsNone() {
    val running = application.after(granted(1), started(1))
    assertThrows<AmException.NotFound> { running.decide(StopContainers(listOf(id(1), id(9)), emptyList()), NOW) }.mentions(id(9))
    assertThrows<AmException.NotFound> { running.decide(StopContainers(listOf(id(1)), listOf(PlaceKey("worker", 7))), NOW) }
      .mentions("has no rank 7", "ranks 0 to 1")
    assertThrows<AmException.NotFound> { running.decide(StopContainers(emptyList(), listOf(PlaceKey("worker", -1))), NOW) }
    assertThrows<AmException.NotFound> { running.decide(StopContainers(emptyList(), listOf(PlaceKey("nobody", 0))), NOW) }
    assertThrows<AmException.InvalidArgument> { running.decide(StopContainers(emptyList(), emptyList()), NOW) }
    assertEquals(listOf(RUNNING, REQUESTED), running.states())
  }

  private fun AmException.mentions(vararg words: String) {
    for (word in words) assertTrue(word in message.orEmpty(), "'$word' in '$message'")
  }
}

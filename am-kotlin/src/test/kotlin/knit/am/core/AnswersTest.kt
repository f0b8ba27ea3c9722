package knit.am.core

import knit.am.core.kv.Bytes
import knit.am.core.kv.Operation
import knit.am.core.kv.committing
import knit.am.core.kv.put
import knit.am.core.kv.value
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.time.Duration

/** A request that comes again is answered as before, or refused; it is never done twice. */
class AnswersTest {
  private val application = registered("worker" to service(instances = 1)).keeping(Retention(answers = 3, outdatedAnswers = 2))

  private fun Application.puts(
    requestId: String,
    value: String = requestId,
  ): Application = after(committing(put("a", value), requestId = requestId))

  private fun Application.refuses(command: Command<*>): AmException.OutOfRange =
    assertThrows<AmException.OutOfRange> { decide(command, NOW) }.also { assertEquals(Reason.REQUEST_TOO_OLD, it.reason) }

  @Test
  fun whatIsRepeatedChangesNothing() {
    val added = application.after(adding("worker", 2, requestId = "add"))
    val once = added.puts("put")
    for (command in listOf(adding("worker", 2, requestId = "add"), committing(put("a", "other"), requestId = "put"))) {
      assertSame(once, once.decide(command as Input, NOW).application)
    }
    assertEquals("put", once.value("a"))
    assertThrows<AmException.InvalidArgument> { once.decide(committing(put("a"), requestId = "add"), NOW) }
    assertThrows<AmException.InvalidArgument> { once.decide(committing(put("a"), requestId = "x".repeat(257)), NOW) }
  }

  @Test
  fun theOldestOfTooManyIsRefusedAndThenForgotten() {
    val full = (1..4).fold(application) { all, number -> all.puts("$number") }
    assertTrue("1" in full.refuses(committing(put("a"), requestId = "1")).facts.values)
    full.decide(committing(put("a"), requestId = "2"), NOW)
    val more = (5..6).fold(full) { all, number -> all.puts("$number") }
    assertEquals(setOf("2", "3", "4", "5", "6"), more.answers.keys, "three that are answered, and two that are refused")
    assertEquals(Index.of(more), more.index)
    more.keeping(Retention(answers = 3, outdatedAnswers = 2)).assertLike(more)
  }

  @Test
  fun tenThousandAreAnsweredAndTheOneBeforeIsRefused() {
    val full = (0..10_000).fold(registered("worker" to service())) { all, number -> all.puts("$number") }
    full.refuses(committing(put("a"), requestId = "0"))
    assertSame(full, full.decide(committing(put("a", "other"), requestId = "1"), NOW).application)
  }

  @Test
  fun afterAnHourItIsRefused() {
    val anHour = NOW.plus(Duration.ofHours(1))
    val first = application.puts("1")
    val almost = first.decide(committing(put("a"), requestId = "2"), anHour).application
    almost.decide(committing(put("a"), requestId = "1"), anHour)
    val later = almost.decide(committing(put("a"), requestId = "3"), anHour.plusMillis(1)).application
    later.refuses(committing(put("a"), requestId = "1"))
    later.decide(committing(put("a"), requestId = "2"), NOW)
  }

  /** A value that was there before is held by nothing but the answer. */
  @Test
  fun largeAnswersAreNotKept() {
    fun replacing(
      requestId: String,
      bytes: Int,
    ) = committing(Operation.Put(Bytes.of("a"), Bytes(ByteArray(bytes)), returnsPrevious = true), requestId = requestId)
    val there = application.after(replacing("", 200_000))
    val small = there.after(replacing("small", 300_000))
    assertEquals(
      200_000,
      small
        .decide(replacing("small", 0), NOW)
        .answer.results
        .single()
        .keyValues
        .single()
        .keyValue.value.size,
    )
    val large = small.after(replacing("large", 10))
    large.refuses(replacing("large", 0))
    assertTrue(large.index.answerBytes in 200_000..201_000)

    val wide = registered("worker" to service()).keeping(Retention(answerBytes = 1_000_000))
    val many = (1..20).fold(wide) { all, number -> all.after(replacing("$number", 200_000)) }
    assertTrue(many.index.answerBytes <= 1_000_000, "${many.index.answerBytes}")
    many.refuses(replacing("2", 0))
    many.decide(replacing("20", 0), NOW)
  }

  @Test
  fun everyChangingRequestIsDoneOnceAndItsIdentifierIsNobodyElses() {
    val running = registered("worker" to service(2), "b" to service()).after(granted(1), started(1), granted(2), granted(3))
    val place = Named(places = listOf(PlaceKey("worker", 0)))
    val other = service(2).copy(command = "other")
    val commands =
      listOf(
        ScaleService("worker", Amount.Delta(1), requestId = "x"),
        ScaleService("worker", Amount.Delta(-1), requestId = "x"),
        AddServices(mapOf("new" to service()), "x"),
        RemoveServices(listOf("b"), "x"),
        UpdateService("worker", UpdateAction.Pass(other), fromRevision = 1, requestId = "x"),
        StopContainers(emptyList(), place.places, requestId = "x"),
        RestartContainers(place, "x"),
        Annotate(mapOf("ticket" to Bytes.of("42")), setOf("other"), "x"),
      )
    for (command in commands) {
      val once = running.after(command as Input)
      val later = once.after(completed(1, 143), ReportProgress(0.5))
      val again = later.decide(command as Input, NOW)
      assertSame(later, again.application, "$command")
      assertEquals(once.sequence, sequenceIn(again.answer) ?: once.sequence, "$command")
      assertEquals(Index.of(later), later.index)
      later.keeping(Retention()).assertLike(later)
      val ended = later.after(EndApplication(FinalStatus.KILLED, ""))
      assertSame(ended, ended.decide(command as Input, NOW).application, "$command, when it is ending")
      for (another in commands.filter { it::class != command::class } + adding("worker", 1, requestId = "x")) {
        assertThrows<AmException.InvalidArgument>("$command, then $another") { later.decide(another as Input, NOW) }
      }
    }
  }

  /** Which turn an answer says has done it. */
  private fun sequenceIn(answer: Any): Long? =
    when (answer) {
      is ServicesChanged -> answer.sequence
      is Scaled -> answer.sequence
      is Restarted -> answer.sequence
      else -> null
    }

  @Test
  fun anAnswerToldAgainNamesTheTurnThatHasDoneIt() {
    val running = registered("worker" to service(2), "b" to service())
    val commands: List<(String) -> Command<ServicesChanged>> =
      listOf(
        { AddServices(mapOf("new" to service()), it) },
        { RemoveServices(listOf("b"), it) },
        { UpdateService("worker", UpdateAction.Pass(service(2).copy(command = "other")), requestId = it) },
      )
    for (command in commands) {
      for (requestId in listOf("x", "")) {
        val once = running.decide(command(requestId), NOW)
        assertEquals(running.sequence + 1, once.answer.sequence)
        if (requestId.isEmpty()) continue
        val later = once.application.after(ReportProgress(0.5), ReportProgress(0.6))
        assertEquals(once.answer.sequence, later.decide(command(requestId), NOW).answer.sequence)
      }
    }
    // What changes nothing is so as of now.
    val same = running.decide(UpdateService("worker", UpdateAction.Pass(service(2))), NOW)
    assertEquals(running.sequence, same.answer.sequence)
  }

  @Test
  fun namesOfContainersAreKeptSmallAndInOrder() {
    val application = registered("worker" to service(20_000), "b" to service(3))
    val all = application.containersOf("worker").toList()
    val orders = listOf(all, all.reversed(), application.containersOf("b").toList() + all.take(2) + all.take(1), emptyList())
    for (order in orders) {
      val refs = Refs.of(order)
      assertEquals(order.map { it.ref }, refs.toList())
      assertEquals(refs, Refs.of(order))
      assertTrue(refs.bytes <= 36, "${refs.bytes}")
    }
    val scattered = Refs.of(all.filter { it.ordinal % 2 == 0 })
    assertEquals(MAX_REQUESTED_CONTAINERS, scattered.toList().size)
    assertTrue(scattered.bytes < MAX_KEPT_ANSWER_BYTES, "${scattered.bytes}")
  }
}

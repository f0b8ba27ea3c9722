package knit.am.core

import knit.am.core.kv.Bytes
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class AnnotationsTest {
  private val annotated =
    Application.start("application_1_0001", 1, HISTORY, mapOf("worker" to service()), NOW, annotations = mapOf("ticket" to Bytes.of("42")))

  private fun annotating(
    vararg set: Pair<String, String>,
    remove: Set<String> = emptySet(),
    requestId: String = "",
  ) = Annotate(set.associate { (name, value) -> name to Bytes.of(value) }, remove, requestId)

  private val Application.notes: Map<String, String>
    get() = annotations.mapValues { String(it.value.shared) }

  @Test
  fun thoseOfTheSubmissionAreThereFromTheFirstTurnOn() {
    assertEquals(mapOf("ticket" to "42"), annotated.notes)
    assertEquals(1, annotated.sequence)
    annotated.keeping(Retention()).assertLike(annotated)
  }

  @Test
  fun someAreSetSomeRemovedAndTheOthersStayInOneTurn() {
    val decision = annotated.decide(annotating("who" to "me", "why" to ""), NOW)
    val both = decision.application
    assertEquals(mapOf("ticket" to "42", "who" to "me", "why" to ""), both.notes)
    assertEquals(annotated.sequence + 1, decision.answer)
    val next = both.after(annotating("who" to "you", remove = setOf("ticket", "never")))
    assertEquals(mapOf("who" to "you", "why" to ""), next.notes)
    next.keeping(Retention()).assertLike(next)
    assertEquals(mapOf("who" to "me", "why" to "", "ticket" to "42"), both.notes, "a snapshot stays as it is")
  }

  @Test
  fun whatIsSoAlreadyChangesNothing() {
    val decision = annotated.decide(annotating("ticket" to "42", remove = setOf("never")), NOW)
    assertNull(decision.changes)
    assertEquals(annotated.sequence, decision.answer)
  }

  @Test
  fun aRepeatedRequestIsToldItsTurnAndDoesNotUndoWhatCameAfter() {
    val once = annotated.after(annotating("ticket" to "43", requestId = "x"))
    val later = once.after(annotating("ticket" to "44"))
    val again = later.decide(annotating("ticket" to "43", requestId = "x"), NOW)
    assertSame(later, again.application)
    assertEquals(once.sequence, again.answer)
  }

  @Test
  fun theyHaveAtMost64KibAndWhatIsRefusedChangesNothing() {
    // Names count by their bytes, of which a ü has two.
    val full = annotated.after(annotating("ü" to "x".repeat(65_526)))
    assertEquals(65_536, full.annotations.entries.sumOf { it.key.utf8Size.toInt() + it.value.size })
    for (more in listOf(annotating("a" to ""), annotating("ticket" to "420"), annotating("ü" to "x".repeat(65_527)))) {
      val refusal = assertThrows<AmException.ResourceExhausted> { full.decide(more, NOW) }
      assertEquals(Reason.ANNOTATIONS_TOO_LARGE, refusal.reason)
      assertEquals(mapOf("bytes" to "65537", "max_bytes" to "65536"), refusal.facts)
      assertTrue("65537 bytes" in refusal.message.orEmpty(), refusal.message)
    }
    // What goes makes room for what comes in the same request.
    assertEquals(setOf("ü", "tickets"), full.after(annotating("tickets" to "4", remove = setOf("ticket"))).annotations.keys)
  }

  @Test
  fun whatMakesNoSenseIsRefused() {
    for ((words, request) in listOf(
      "empty name" to annotating("" to "x"),
      "'ticket' is to be both set and removed" to annotating("ticket" to "x", remove = setOf("ticket")),
      "${"y".repeat(64)}…' is to be both" to annotating("y".repeat(70_000) to "", remove = setOf("y".repeat(70_000))),
    )) {
      val refusal = assertThrows<AmException.InvalidArgument> { annotated.decide(request, NOW) }
      assertTrue(words in refusal.message.orEmpty(), refusal.message)
    }
    val lost = assertThrows<AmException.OutOfRange> { annotated.decide(annotating("a" to "").copy(historyId = "another"), NOW) }
    assertEquals(Reason.HISTORY_LOST, lost.reason)
  }

  @Test
  fun aSubmissionHasTheSameLimits() {
    assertNull(problemInAnnotations(mapOf("n" to Bytes(ByteArray(65_535)))))
    assertTrue("65537 bytes" in problemInAnnotations(mapOf("n" to Bytes(ByteArray(65_536)))).orEmpty())
    assertEquals("an annotation has an empty name", problemInAnnotations(mapOf("" to Bytes.EMPTY)))
  }

  @Test
  fun valuesAreInNoText() {
    val request = annotating("ticket" to "hunter2")
    val changes = annotated.decide(request, NOW).changes
    assertFalse("hunter2" in "$request $changes", "$request $changes")
  }
}

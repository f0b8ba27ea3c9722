package knit.am.yarn

import knit.am.core.LARGE
import knit.am.core.NOW
import knit.am.core.ReasonSource
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.WaitingCause
import knit.am.core.WaitingReason
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class WaitingReasonsTest {
  private val answerMillis = 100_000L
  private val sizes = ContainerSizes(Resource(3072, 8), listOf(room(1, capacity = Resource(3072, 8))), countsVcores = false)

  private fun status(
    standing: Standing,
    sinceMillis: Long = 0,
    headroom: Resource? = null,
    mostFreeMib: Long? = null,
  ) = AllocationStatus(
    listOf(SMALL, LARGE).associate { Shape(it) to ShapeStatus(standing, NOW, sinceMillis) },
    sizes,
    headroom,
    mostFreeMib,
    NOW.plusSeconds(100),
    answerMillis,
  )

  private fun explain(
    status: AllocationStatus,
    nowMillis: Long = answerMillis + 10,
  ) = waitingReasons(mapOf(SMALL to mapOf("worker" to 3)), status, nowMillis).single()

  @Test
  fun aFullQueueIsSaidWithWhatItLeaves() {
    val reason = explain(status(Standing.Asked, headroom = Resource(128, 3), mostFreeMib = 4096))
    assertEquals(
      WaitingReason("worker", 3, SMALL, WaitingCause.CAPACITY, reason.explanation, NOW, null, ReasonSource.HEARTBEAT, isCertain = false),
      reason,
    )
    assertEquals(
      "3 containers of 256 MiB and 1 vcores each wait for room in the queue or on a node. The queue and its limits leave 128 MiB " +
        "to this application now. Wait for other containers to end, ask for less, or use another queue.",
      reason.explanation,
    )
  }

  @Test
  fun fullNodesAreSaidWithTheMostThatIsFreeOnOne() {
    val reason = explain(status(Standing.Asked, headroom = Resource(8192, 3), mostFreeMib = 100))
    assertTrue("No node has more than 100 MiB free now." in reason.explanation, reason.explanation)
  }

  @Test
  fun whatIsTooLargeNamesTheLargestNode() {
    val reason = waitingReasons(mapOf(LARGE to mapOf("worker" to 1)), status(Standing.TooLarge), answerMillis).single()
    assertEquals(WaitingCause.TOO_LARGE, reason.cause)
    assertEquals(
      "A container of 4096 MiB and 2 vcores waits for a node that is large enough. The largest live one, node1:8041, has 3072 MiB " +
        "and 8 vcores. YARN is asked as soon as there is one; start one, or ask for less.",
      reason.explanation,
    )
  }

  @Test
  fun whatOnlyNodesOutOfReachCouldHoldIsTooLargeThoughYarnIsAsked() {
    val inReach = room(1, capacity = Resource(3072, 8))
    val all = listOf(inReach, room(2, capacity = Resource(8192, 8), partition = "gpu"))
    val partitioned = ContainerSizes(Resource(8192, 8), all, countsVcores = false, inReach = listOf(inReach))
    for (standing in listOf(Standing.Asked, Standing.InLine)) {
      val before = status(standing)
      val status = AllocationStatus(before.shapes, partitioned, null, null, before.answer, before.answerMillis)
      val reason = waitingReasons(mapOf(LARGE to mapOf("worker" to 1)), status, answerMillis).single()
      assertEquals(WaitingCause.TOO_LARGE, reason.cause)
      assertEquals(
        "A container of 4096 MiB and 2 vcores waits for a node that is large enough. The largest one without a label that the " +
          "application lacks, node1:8041, has 3072 MiB and 8 vcores. Start one, or ask for less.",
        reason.explanation,
      )
      assertEquals(WaitingCause.CAPACITY, explain(status).cause)
    }
  }

  @Test
  fun whatIsRefusedHasYarnsWords() {
    val reason = explain(status(Standing.Refused("Invalid label")))
    assertEquals(WaitingCause.REFUSED, reason.cause)
    assertTrue("\"Invalid label\"" in reason.explanation, reason.explanation)
  }

  @Test
  fun aSilentResourceManagerIsTheReasonWhateverElseThereWas() {
    val reason = explain(status(Standing.TooLarge), nowMillis = answerMillis + 42_500)
    assertEquals(WaitingCause.RESOURCE_MANAGER, reason.cause)
    assertEquals(NOW.plusSeconds(100), reason.since)
    assertTrue("has not answered for 42 s" in reason.explanation, reason.explanation)
  }

  @Test
  fun whatDoesNotWaitForLongNeedsNoReason() {
    val justNow = status(Standing.Asked, sinceMillis = answerMillis - WAITING_AFTER_MILLIS + 100)
    assertEquals(emptyList<WaitingReason>(), waitingReasons(mapOf(SMALL to mapOf("worker" to 3)), justNow, answerMillis))
    assertEquals(emptyList<WaitingReason>(), waitingReasons(emptyMap(), status(Standing.TooLarge), answerMillis + 60_000))
    val unknown = waitingReasons(mapOf(Resource(1, 1) to mapOf("worker" to 1)), status(Standing.Asked), answerMillis)
    assertEquals(emptyList<WaitingReason>(), unknown, "it was added after the last heartbeat")
  }

  @Test
  fun thereIsOneForEachServiceAndSizeAndNotTooMany() {
    val waiting = mapOf(SMALL to (1..50).associate { "s$it" to 1 }, LARGE to (1..50).associate { "s$it" to 2 })
    val reasons = waitingReasons(waiting, status(Standing.Asked), answerMillis)
    assertEquals(MAX_WAITING_REASONS, reasons.size)
    assertEquals(listOf(SMALL, LARGE), reasons.filter { it.serviceName == "s1" }.map { it.resource })
  }
}

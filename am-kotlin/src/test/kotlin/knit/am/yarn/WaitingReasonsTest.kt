package knit.am.yarn

import knit.am.core.LARGE
import knit.am.core.NOW
import knit.am.core.Placement
import knit.am.core.ReasonSource
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.Shape
import knit.am.core.WaitingCause
import knit.am.core.WaitingReason
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class WaitingReasonsTest {
  private val answerMillis = 100_000L
  private val sizes = ContainerSizes(Resource(3072, 8), listOf(room(1, capacity = Resource(3072, 8))), countsVcores = false)
  private val small = Shape(SMALL)
  private val full = QueueUse("root.a", Resource(1000, 4), Resource(512, 2), Resource(1024, 4))

  private fun status(
    standing: Standing,
    sinceMillis: Long = 0,
    headroom: Resource? = null,
    mostFreeMib: Long? = null,
    queue: QueueUse? = null,
    shape: Shape = small,
    sizes: ContainerSizes = this.sizes,
  ) = AllocationStatus(
    listOf(shape, Shape(LARGE)).associateWith { ShapeStatus(standing, NOW, sinceMillis) },
    { sizes },
    headroom,
    mostFreeMib?.let { mapOf(shape to it) }.orEmpty(),
    NOW.plusSeconds(100),
    answerMillis,
    queue,
  )

  private fun explain(
    status: AllocationStatus,
    nowMillis: Long = answerMillis + 10,
    shape: Shape = small,
    count: Int = 3,
  ) = waitingReasons(mapOf(shape to mapOf("worker" to count)), status, nowMillis).single()

  @Test
  fun aFullQueueIsCertainWhereYarnReportsIt() {
    val reason = explain(status(Standing.Asked, headroom = Resource(24, 3), mostFreeMib = 4096, queue = full))
    assertEquals(
      WaitingReason(
        "worker",
        3,
        SMALL,
        WaitingCause.QUEUE_FULL,
        "3 containers of 256 MiB and 1 vcores each wait for room in the queue root.a, which uses 1000 MiB of the " +
          "1024 MiB it may. Wait for other containers to end, ask for less, or use another queue.",
        NOW,
        source = ReasonSource.QUEUE_REPORT,
        isCertain = true,
        facts =
          mapOf(
            "queue" to "root.a",
            "used_memory_mib" to "1000",
            "capacity_memory_mib" to "512",
            "limit_memory_mib" to "1024",
            "headroom_memory_mib" to "24",
            "headroom_vcores" to "3",
          ),
      ),
      reason,
    )
  }

  @Test
  fun whatIsShortIsToldByHeadroomQueueAndNodesTogether() {
    val free = full.copy(used = Resource(100, 1))
    val table =
      listOf(
        // headroom, most free on a node, queue; cause, source, whether it is certain
        Case(Resource(24, 3), 4096, free, WaitingCause.USER_LIMIT, ReasonSource.HEARTBEAT, false),
        Case(Resource(24, 3), 100, free, WaitingCause.CAPACITY, ReasonSource.NODE_REPORT, true),
        Case(Resource(24, 3), 100, full, WaitingCause.QUEUE_FULL, ReasonSource.QUEUE_REPORT, true),
        Case(Resource(24, 3), 4096, null, WaitingCause.QUEUE_FULL, ReasonSource.HEARTBEAT, false),
        Case(Resource(24, 3), null, null, WaitingCause.QUEUE_FULL, ReasonSource.HEARTBEAT, false),
        Case(Resource(24, 3), 4096, full.copy(limit = null), WaitingCause.QUEUE_FULL, ReasonSource.HEARTBEAT, false),
        Case(Resource(9999, 0), 4096, full, WaitingCause.CAPACITY, ReasonSource.HEARTBEAT, false),
        Case(Resource(9999, 3), 100, null, WaitingCause.CAPACITY, ReasonSource.NODE_REPORT, true),
        Case(null, null, null, WaitingCause.CAPACITY, ReasonSource.HEARTBEAT, false),
      )
    for (case in table) {
      val reason = explain(status(Standing.Asked, headroom = case.headroom, mostFreeMib = case.mostFreeMib, queue = case.queue))
      assertEquals(Triple(case.cause, case.source, case.isCertain), Triple(reason.cause, reason.source, reason.isCertain), "$case")
    }
  }

  private data class Case(
    val headroom: Resource?,
    val mostFreeMib: Long?,
    val queue: QueueUse?,
    val cause: WaitingCause,
    val source: ReasonSource,
    val isCertain: Boolean,
  )

  @Test
  fun vcoresThatAreCountedMayBeWhatIsShort() {
    val counting = ContainerSizes(Resource(3072, 8), listOf(room(1)), countsVcores = true)
    val status = status(Standing.Asked, headroom = Resource(9999, 0), mostFreeMib = 4096, queue = full, sizes = counting)
    val reason = explain(status)
    assertEquals(WaitingCause.QUEUE_FULL, reason.cause)
    assertTrue("uses 1000 MiB and 4 vcores of the 1024 MiB and 4 vcores it may" in reason.explanation, reason.explanation)
    assertEquals(listOf("4", "2", "4"), listOf("used", "capacity", "limit").map { reason.facts["${it}_vcores"] })
  }

  @Test
  fun theHeadroomIsNotThatOfAPartition() {
    val gpu = Shape(SMALL, Placement(label = "gpu"))
    val reason = explain(status(Standing.Asked, headroom = Resource(0, 0), mostFreeMib = 4096, queue = full, shape = gpu), shape = gpu)
    assertEquals(WaitingCause.CAPACITY to mapOf("label" to "gpu"), reason.cause to reason.facts)
  }

  @Test
  fun fullNodesAreSaidWithTheMostThatIsFreeOnOne() {
    val reason = explain(status(Standing.Asked, headroom = Resource(8192, 3), mostFreeMib = 100))
    assertTrue("No node has more than 100 MiB free now." in reason.explanation, reason.explanation)
    assertEquals("100", reason.facts["most_free_memory_mib"])
  }

  @Test
  fun whatIsTooLargeNamesTheLargestNode() {
    val reason = explain(status(Standing.TooLarge), shape = Shape(LARGE), count = 1)
    assertEquals(WaitingCause.TOO_LARGE, reason.cause)
    assertEquals(
      "A container of 4096 MiB and 2 vcores waits for a node that is large enough. The largest live one, node1:8041, has 3072 MiB " +
        "and 8 vcores. YARN is asked as soon as there is one; start one, or ask for less.",
      reason.explanation,
    )
    assertEquals("3072", reason.facts["largest_memory_mib"])
  }

  @Test
  fun whatOnlyNodesOutOfReachCouldHoldIsTooLargeThoughYarnIsAsked() {
    val inReach = room(1, capacity = Resource(3072, 8))
    val all = listOf(inReach, room(2, capacity = Resource(8192, 8), partition = "gpu"))
    val partitioned = ContainerSizes(Resource(8192, 8), all, countsVcores = false, inReach = listOf(inReach))
    for (standing in listOf(Standing.Asked, Standing.InLine)) {
      val status = status(standing, sizes = partitioned)
      val reason = explain(status, shape = Shape(LARGE), count = 1)
      assertEquals(WaitingCause.TOO_LARGE, reason.cause)
      assertEquals(
        "A container of 4096 MiB and 2 vcores waits for a node that is large enough. The largest one without a label that the " +
          "application lacks, node1:8041, has 3072 MiB and 8 vcores. Start one, or ask for less.",
        reason.explanation,
      )
      assertEquals(if (standing == Standing.Asked) WaitingCause.CAPACITY else WaitingCause.TURN, explain(status).cause)
    }
  }

  @Test
  fun whereNoNodeWillDoItIsSaidWhy() {
    val gpu = Shape(SMALL, Placement(label = "gpu"))
    val label = explain(status(Standing.NoPlace(Shortage.Label), shape = gpu), shape = gpu)
    assertEquals(WaitingCause.LABEL to mapOf("label" to "gpu"), label.cause to label.facts)
    assertTrue("with the label 'gpu': there is no live one" in label.explanation, label.explanation)
    val named = Shape(SMALL, Placement(nodes = (1..7).mapTo(HashSet()) { "n$it" }, isStrict = true))
    val names = explain(status(Standing.NoPlace(Shortage.Names), shape = named), shape = named)
    assertEquals(WaitingCause.PLACEMENT, names.cause)
    assertTrue("for n1, n2, n3, n4, n5 and 2 more: none of these is alive" in names.explanation, names.explanation)
    val apart = explain(status(Standing.NoPlace(Shortage.Apart(3))))
    assertEquals(Triple(WaitingCause.PLACEMENT, true, "3"), Triple(apart.cause, apart.isCertain, apart.facts["nodes"]))
    assertTrue("each of the 3 that could hold one has one" in apart.explanation, apart.explanation)
    assertEquals("4", explain(status(Standing.NoPlace(Shortage.Misplaced(4)))).facts["misplaced"])
    val strict = status(Standing.Asked, mostFreeMib = 100, shape = named)
    assertEquals(WaitingCause.PLACEMENT, explain(strict, shape = named).cause, "named nodes are full")
  }

  @Test
  fun whatIsRefusedHasYarnsWords() {
    val reason = explain(status(Standing.Refused("Invalid label")))
    assertEquals(WaitingCause.REFUSED to ReasonSource.REFUSAL, reason.cause to reason.source)
    assertTrue("\"Invalid label\"" in reason.explanation, reason.explanation)
    val gpu = Shape(SMALL, Placement(label = "gpu"))
    assertEquals(
      WaitingCause.LABEL,
      explain(status(Standing.Refused("cluster do not contain, label= [gpu]"), shape = gpu), shape = gpu).cause,
    )
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
    assertEquals(emptyList<WaitingReason>(), waitingReasons(mapOf(small to mapOf("worker" to 3)), justNow, answerMillis))
    assertEquals(emptyList<WaitingReason>(), waitingReasons(emptyMap(), status(Standing.TooLarge), answerMillis + 60_000))
    val unknown = waitingReasons(mapOf(Shape(Resource(1, 1)) to mapOf("worker" to 1)), status(Standing.Asked), answerMillis)
    assertEquals(emptyList<WaitingReason>(), unknown, "it was added after the last heartbeat")
  }

  @Test
  fun thereIsOneForEachServiceAndSizeAndNotTooMany() {
    val waiting = mapOf(small to (1..50).associate { "s$it" to 1 }, Shape(LARGE) to (1..50).associate { "s$it" to 2 })
    val reasons = waitingReasons(waiting, status(Standing.Asked), answerMillis)
    assertEquals(MAX_WAITING_REASONS, reasons.size)
    assertEquals(listOf(SMALL, LARGE), reasons.filter { it.serviceName == "s1" }.map { it.resource })
  }
}

package knit.am.grpc

import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.HISTORY
import knit.am.core.after
import knit.am.core.completed
import knit.am.core.decide
import knit.am.core.granted
import knit.am.core.keeping
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.stopping
import knit.v1.Container
import knit.v1.ContainerState
import knit.v1.ListContainersRequest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class ContainerPagesTest {
  private fun Container.name() = "$serviceName $rank $attemptNumber"

  /** All pages, one after the other. */
  private fun Application.pages(request: ListContainersRequest.Builder = ListContainersRequest.newBuilder()): List<List<Container>> {
    val pages = mutableListOf<List<Container>>()
    do {
      val page = pageOf(request.build())
      assertEquals(HISTORY, page.historyId)
      pages += page.containersList
      request.pageToken = page.nextPageToken
    } while (page.nextPageToken.isNotEmpty())
    return pages
  }

  private val crashing =
    registered("a" to service(instances = 2, maxRestarts = 50), "b" to service(instances = 0), "c" to service(instances = 3))
      .after(granted(1), completed(1, 1), granted(2), completed(2, 1), granted(3))

  @Test
  fun pagesAreTheListCutAnywhere() {
    val all = crashing.pages().single().map { it.name() }
    assertEquals(listOf("a 0 1", "a 0 2", "a 0 3", "a 1 1", "c 0 1", "c 1 1", "c 2 1"), all)
    for (size in 1..8) {
      val pages = crashing.pages(ListContainersRequest.newBuilder().setPageSize(size))
      assertEquals(all, pages.flatten().map { it.name() }, "pages of $size")
      assertTrue(pages.dropLast(1).all { it.size == size })
      assertTrue(pages.last().isNotEmpty())
    }
  }

  @Test
  fun pagesKnowTheFilters() {
    val requested = ListContainersRequest.newBuilder().addStates(ContainerState.CONTAINER_STATE_REQUESTED).setPageSize(1)
    assertEquals(listOf("a 1 1", "c 0 1", "c 1 1", "c 2 1"), crashing.pages(requested).flatten().map { it.name() })
    val named =
      ListContainersRequest
        .newBuilder()
        .addServiceNames("c")
        .addServiceNames("b")
        .setPageSize(2)
    assertEquals(listOf(2, 1), crashing.pages(named).map { it.size })
  }

  @Test
  fun aPageGoesOnWhereItsLastContainerWasAlsoWhenThatIsForgotten() {
    val token = crashing.pageOf(ListContainersRequest.newBuilder().setPageSize(1).build()).nextPageToken
    val later = (3..30).fold(crashing) { application, number -> application.after(completed(number, 1), granted(number + 1)) }
    val next = later.pageOf(ListContainersRequest.newBuilder().setPageToken(token).build()).containersList
    assertEquals("c 2 1", next.last().name())
    assertTrue(next.first().attemptNumber > 2)
  }

  @Test
  fun aPageEndsBefore4MiB() {
    val ranks = 3_000
    var application =
      registered("worker" to service(instances = ranks, maxRestarts = 20)).keeping(
        knit.am.core.Retention(diagnostics = 100_000),
      )
    for (number in 1..ranks) application = application.after(granted(number))
    for (number in 1..ranks) application = application.after(completed(number, 1, "…".repeat(3_000)))
    val pages = mutableListOf<Int>()
    val request = ListContainersRequest.newBuilder()
    do {
      val page = application.pageOf(request.build())
      assertTrue(page.serializedSize < 4 * 1024 * 1024, "${page.serializedSize}")
      pages += page.containersCount
      request.pageToken = page.nextPageToken
    } while (page.nextPageToken.isNotEmpty())
    assertEquals(2 * ranks, pages.sum())
    assertTrue(pages.size in 4..7, "$pages")
  }

  @Test
  fun answersThatAreNoListStayWithinAMessage() {
    val ranks = 3_000
    var application =
      registered("worker" to service(instances = ranks, failurePolicy = knit.am.core.FailurePolicy.FINISH_OTHERS)).keeping(
        knit.am.core.Retention(diagnostics = 100_000),
      )
    for (number in 1..ranks) application = application.after(granted(number))
    for (number in 1 until ranks) application = application.after(completed(number, 1, "…".repeat(3_000)))
    application = application.after(stopping(ranks))
    val answer = application.containers.toList().withinOneAnswer()
    assertEquals(ranks, answer.size)
    assertTrue(answer.sumOf { it.serializedSize } < 4 * 1024 * 1024)
    assertTrue(
      answer
        .first()
        .exit.diagnostics
        .isNotEmpty(),
    )
    assertTrue(answer[ranks - 2].exit.diagnostics.isEmpty())
  }

  @Test
  fun theLargestAdditionIsOneMessage() {
    val name = "w".repeat(63)
    val added = registered(name to service(instances = 90_000)).decide(knit.am.core.adding(name, 10_000), knit.am.core.NOW).answer
    assertEquals(10_000, added.size)
    assertTrue(added.sumOf { it.toMessage().serializedSize + 6 } < 4 * 1024 * 1024)
  }

  @Test
  fun aTokenOfAnotherKindOrHistoryIsRefused() {
    for (token in listOf("x", "$HISTORY a 0", "$HISTORY a -1 1", "$HISTORY a 99999999999 1")) {
      assertThrows<AmException.InvalidArgument>(token) { crashing.pageOf(ListContainersRequest.newBuilder().setPageToken(token).build()) }
    }
    assertThrows<AmException.OutOfRange> { crashing.pageOf(ListContainersRequest.newBuilder().setPageToken("history-2 a 0 1").build()) }
    assertThrows<AmException.InvalidArgument> { crashing.pageOf(ListContainersRequest.newBuilder().setPageSize(-1).build()) }
    assertThrows<AmException.NotFound> { crashing.pageOf(ListContainersRequest.newBuilder().addServiceNames("nobody").build()) }
  }
}

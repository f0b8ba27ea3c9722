package knit.am.log

import knit.am.ChangeFeed
import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.DriverEnded
import knit.am.core.HISTORY
import knit.am.core.Happenings
import knit.am.core.Input
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.Registered
import knit.am.core.Retention
import knit.am.core.Unregistered
import knit.am.core.completed
import knit.am.core.granted
import knit.am.core.id
import knit.am.core.keeping
import knit.am.core.lease
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

@OptIn(ExperimentalCoroutinesApi::class)
class LogStreamsTest {
  private var happenings = Happenings(registered("worker" to service(instances = 2), "chief" to service()))
  private val source = FakeLogSource()

  /** On virtual time. */
  private val TestScope.streams
    get() = LogStreams(happenings.snapshots, happenings.changes, source, nowMillis = { testScheduler.currentTime })

  private fun happens(vararg inputs: Input) = happenings.take(*inputs)

  private fun query(
    containerIds: Set<String> = emptySet(),
    serviceNames: Set<String> = emptySet(),
    fileNames: List<String> = listOf("stdout"),
    follow: Boolean = false,
    tailLines: Long? = null,
    positions: Map<Pair<String, String>, Long> = emptyMap(),
  ) = LogQuery(containerIds, serviceNames, fileNames, follow, tailLines, positions)

  private fun List<LogItem>.ended() = filter { it.piece is LogPiece.End }.map { it.container.lease?.containerId to it.fileName }

  @Test
  fun withoutFollowItEndsWithWhatThereIs() =
    runTest {
      happens(granted(1), started(1))
      val items = streams.stream(query(fileNames = listOf("stdout", "stderr"))).toList()
      assertEquals(setOf(id(1) to "stdout", id(1) to "stderr"), items.ended().toSet())
    }

  @Test
  fun withFollowItTakesInWhatStartsLaterAndEndsWithTheApplication() =
    runTest {
      happens(granted(1), started(1))
      val items = async { streams.stream(query(follow = true)).toList() }
      advanceTimeBy(100)
      happens(granted(2), started(2), completed(1))
      advanceTimeBy(100)
      happens(granted(3), started(3), completed(2))
      advanceTimeBy(1_000)
      assertFalse(items.isCompleted)
      happens(completed(3), Unregistered)
      assertEquals(
        setOf(id(1), id(2), id(3)),
        items
          .await()
          .ended()
          .map { it.first }
          .toSet(),
      )
    }

  @Test
  fun withFollowOfNamedContainersItEndsWithThem() =
    runTest {
      happens(granted(1), started(1), granted(2), started(2))
      val items = async { streams.stream(query(containerIds = setOf(id(1)), follow = true)).toList() }
      advanceTimeBy(100)
      happens(completed(1))
      assertEquals(listOf(id(1) to "stdout"), items.await().ended())
    }

  /** What happens between two looks is more than the feed keeps, and more than the application remembers. */
  @Test
  fun aStreamThatFallsBehindListsAgainAndLosesNoContainerAndNoEnd() =
    runTest {
      val application = registered("worker" to service(instances = 2, maxRestarts = 9)).keeping(Retention(attemptsPerRank = 2))
      happenings = Happenings(application, ChangeFeed(application.sequence, maxTurns = 3))
      happens(granted(1), started(1), granted(2), started(2))
      val items = async { streams.stream(query(follow = true)).toList() }
      val named = async { streams.stream(query(containerIds = setOf(id(1)), follow = true)).toList() }
      advanceTimeBy(100)
      happens(completed(1, 1))
      for (number in 3..6) happens(granted(number), started(number), completed(number, 1))
      assertEquals(null, happenings.snapshots.value.container(id(1)), "the application has forgotten it")
      advanceTimeBy(2_000)
      assertEquals(listOf(id(1) to "stdout"), named.await().ended())
      happens(granted(7), started(7))
      advanceTimeBy(2_000)
      happens(completed(2), completed(7), Unregistered)
      // Those that came and were forgotten between two looks are known to nobody.
      assertEquals(listOf(1, 2, 5, 6, 7).map { id(it) to "stdout" }, items.await().ended().sortedBy { it.first })
    }

  @Test
  fun aServiceCanBeNamed() =
    runTest {
      happens(granted(1), started(1), granted(2), started(2), granted(3), started(3))
      val items = streams.stream(query(serviceNames = setOf("chief"))).toList()
      assertEquals(setOf("chief"), items.map { it.container.key.place.serviceName }.toSet())
    }

  @Test
  fun positionsGoBeforeTailLinesAndWhatStartsLaterIsSentWhole() =
    runTest {
      happens(granted(1), started(1), granted(2), started(2))
      val begun = mutableMapOf<String?, Long>()
      val following =
        launch {
          streams.stream(query(follow = true, tailLines = 5, positions = mapOf((id(2) to "stdout") to 7L))).collect { item ->
            (item.piece as? LogPiece.Begin)?.let { begun[item.container.lease?.containerId] = it.offsetBytes }
          }
        }
      advanceTimeBy(100)
      happens(granted(3), started(3))
      advanceTimeBy(100)
      following.cancel()
      assertEquals(
        mapOf(
          (id(1) to "stdout") to LogStart.TailLines(5),
          (id(2) to "stdout") to LogStart.Offset(7),
          (id(3) to "stdout") to LogStart.Offset(0),
        ),
        source.starts.toMap(),
      )
      // The fake source tells no beginnings, and of the second file the client knows it.
      assertEquals(mapOf<String?, Long>(id(3) to 0L), begun)
    }

  @Test
  fun whatCannotBeIsRefused() {
    val streams = LogStreams(happenings.snapshots, happenings.changes, source)
    happens(granted(1))
    assertThrows(AmException.InvalidArgument::class.java) { streams.stream(query(fileNames = List(33) { "file$it" })) }
    assertThrows(AmException.NotFound::class.java) { streams.stream(query(containerIds = setOf("container_99"))) }
    assertThrows(AmException.NotFound::class.java) { streams.stream(query(serviceNames = setOf("nobody"))) }
    assertThrows(AmException.InvalidArgument::class.java) { streams.stream(query(tailLines = -1)) }
    assertThrows(AmException.InvalidArgument::class.java) { streams.stream(query(positions = mapOf((id(1) to "stdout") to -1L))) }
    for (name in listOf("../secret", "a/b", "..", "")) {
      assertThrows(AmException.InvalidArgument::class.java) { streams.stream(query(fileNames = listOf(name))) }
    }
  }

  @Test
  fun theApplicationMastersOwnFilesAreThereForWhoeverAsksByName() =
    runTest {
      val own = lease(99)
      happenings =
        Happenings(Application.start("application_1_0001", 1, HISTORY, mapOf("worker" to service()), NOW, hasDriver = true))
      happens(Registered(MOST), granted(1), started(1))
      val streams =
        LogStreams(happenings.snapshots, happenings.changes, source, nowMillis = { testScheduler.currentTime }, master = MasterLog(own))
      assertEquals(
        setOf(id(1) to "stdout"),
        streams
          .stream(query())
          .toList()
          .ended()
          .toSet(),
        "nobody is sent them unasked",
      )
      val drivers = query(containerIds = setOf(id(99)), fileNames = listOf("driver.stdout"), follow = true)
      val items = mutableListOf<LogItem>()
      val following = launch { streams.stream(drivers).collect { items += it } }
      advanceTimeBy(5_000)
      assertFalse(following.isCompleted)
      happens(DriverEnded(0, ""))
      advanceTimeBy(5_000)
      assertEquals(true to listOf(id(99) to "driver.stdout"), following.isCompleted to items.ended())
      assertEquals(
        "",
        items
          .last()
          .container.key.place.serviceName,
      )
      assertEquals(listOf("stderr", "stdout"), streams.files(id(99)).map { it.name })
    }
}

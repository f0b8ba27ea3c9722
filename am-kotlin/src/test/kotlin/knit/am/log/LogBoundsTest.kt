package knit.am.log

import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Container
import knit.am.core.Happenings
import knit.am.core.Retention
import knit.am.core.after
import knit.am.core.completed
import knit.am.core.granted
import knit.am.core.id
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.runTest
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.assertThrows
import java.util.concurrent.atomic.AtomicInteger

/** However many files, streams and readers there are, and however slow they are: what is held at a time is bounded. */
@OptIn(ExperimentalCoroutinesApi::class)
@Timeout(120)
class LogBoundsTest {
  /** [count] containers that run, with two files each, on so many [nodes]. */
  private fun running(
    count: Int,
    nodes: Int = 50,
  ): Application =
    registered("worker" to service(instances = count)).let { application ->
      (1..count).fold(application) { soFar, number -> soFar.after(granted(number, number % nodes), started(number)) }
    }

  private val everything = LogQuery(emptySet(), emptySet(), listOf("stdout", "stderr"), false, null, emptyMap())

  /** Files of [chunks] chunks each; counts what is open and what is held. */
  private open class Counting(
    private val chunks: Int,
  ) : LogSource {
    val open = AtomicInteger()
    val mostOpen = AtomicInteger()
    val handedOver = AtomicInteger()

    override suspend fun files(container: Container): List<LogFile> = emptyList()

    override fun readsAtOnce(container: Container): Int = 4

    /** Where a reader waits before it reads. */
    open suspend fun answer(
      container: Container,
      turn: ReadTurn,
    ) = delay(2)

    override fun reader(
      container: Container,
      fileName: String,
      start: LogStart,
      follow: Boolean,
    ): LogReader =
      object : LogReader {
        private var sent = 0

        override suspend fun read(
          container: Container,
          turn: ReadTurn,
        ): LogReader.Next =
          turn.use {
            mostOpen.accumulateAndGet(open.incrementAndGet(), ::maxOf)
            try {
              answer(container, turn)
              while (sent < chunks) {
                if (!turn.mayReadOn()) return@use LogReader.Next.Soon
                turn.send(LogPiece.Chunk(sent.toLong(), byteArrayOf(1)))
                handedOver.incrementAndGet()
                sent++
                if (turn.othersWait) return@use LogReader.Next.Soon
              }
              turn.send(LogPiece.End(sent.toLong(), ""))
              LogReader.Next.Ended
            } finally {
              open.decrementAndGet()
            }
          } ?: LogReader.Next.Soon

        override fun close() = Unit
      }
  }

  private fun TestScope.streams(
    application: Application,
    source: LogSource,
    budget: ReadBudget = ReadBudget(),
  ) = Happenings(application).let { LogStreams(it.snapshots, it.changes, source, budget, { testScheduler.currentTime }) }

  private fun streamsInRealTime(
    application: Application,
    source: LogSource,
  ) = Happenings(application).let { LogStreams(it.snapshots, it.changes, source) }

  @Test
  fun aReaderThatStopsHasNothingReadForIt() =
    runTest {
      val source = Counting(chunks = 10)
      val streams = streams(running(1_000), source)
      var taken = 0
      val reading =
        launch {
          streams.stream(everything).collect {
            taken++
            if (taken == 5) awaitCancellation()
          }
        }
      advanceTimeBy(60_000)
      assertEquals(0, source.open.get(), "files that are open for nobody")
      assertTrue(source.handedOver.get() <= 5 + StreamBudget.MAX_CHUNKS, "${source.handedOver.get()} chunks for 5 that were taken")
      reading.cancel()
    }

  @Test
  fun aSlowReaderGetsEverythingAndOfEachFileInTurn() =
    runTest {
      val source = Counting(chunks = 3)
      val seen = LinkedHashMap<String, Int>()
      var held = 0
      streams(running(50), source).stream(everything).collect { item ->
        delay(300)
        held = maxOf(held, source.handedOver.get() - seen.values.sum())
        if (item.piece is LogPiece.Chunk) seen.merge("${item.container.lease?.containerId} ${item.fileName}", 1, Int::plus)
        // No file has had its third before nearly all have had a first.
        if (seen.values.any { it == 3 }) assertTrue(seen.size > 90, "${seen.size}")
      }
      assertEquals(300, seen.values.sum())
      assertTrue(held <= StreamBudget.MAX_CHUNKS + 1, "$held chunks waited")
    }

  @Test
  fun fiftyReadersOfManyFilesAreBoundedTogetherAndGetAll() =
    runBlocking(Dispatchers.Default) {
      val source = Counting(chunks = 2)
      val streams = streamsInRealTime(running(200), source)
      val stopped = List(10) { launch { streams.stream(everything).collect { awaitCancellation() } } }
      val counts =
        List(40) {
          val count = CompletableDeferred<Int>()
          launch { count.complete(streams.stream(everything).toList().count { it.piece is LogPiece.Chunk }) }
          count
        }
      withTimeout(100_000) { counts.forEach { assertEquals(800, it.await()) } }
      assertTrue(source.mostOpen.get() <= ReadBudget.MAX_READS, "${source.mostOpen.get()} files were open")
      stopped.forEach { it.cancel() }
    }

  @Test
  fun aStreamReadsThirtyTwoFilesAtATime() =
    runTest {
      val source =
        object : Counting(chunks = 1) {
          override suspend fun answer(
            container: Container,
            turn: ReadTurn,
          ) = delay(150)
        }
      streams(running(200), source).stream(everything).toList()
      assertTrue(source.mostOpen.get() <= StreamBudget.MAX_READERS)
    }

  @Test
  fun aServiceThatCrashesForEverIsFollowedOnceEachAndThenForgotten() =
    runTest {
      val crashes = 1_000
      val happenings = Happenings(registered("worker" to service(maxRestarts = Int.MAX_VALUE)))
      val query = everything.copy(fileNames = listOf("stdout"), follow = true)
      val mine = StreamBudget()
      val ended = HashMap<String, Int>()
      val schedule =
        LogSchedule(
          query,
          happenings.snapshots,
          happenings.changes,
          Counting(chunks = 1),
          ReadBudget(),
          mine,
          { testScheduler.currentTime },
          null,
        ) { item, hasChunk ->
          if (hasChunk) mine.chunks.release()
          if (item.piece is LogPiece.End) ended.merge(checkNotNull(item.container.lease).containerId, 1, Int::plus)
        }
      backgroundScope.launch { schedule.run() }
      for (number in 1..crashes) {
        happenings.take(granted(number), started(number), completed(number, 1))
        advanceTimeBy(2 * LogSchedule.LOOK_MILLIS)
      }
      advanceTimeBy(1_000)
      assertEquals((1..crashes).associate { id(it) to 1 }, ended)
      assertTrue(schedule.remembered <= 1 + Retention().attemptsPerRank, "${schedule.remembered} are remembered")
    }

  @Test
  fun silentNodesHoldUpNobody() =
    runTest {
      // All nodes but one keep their answers to themselves.
      val source =
        object : Counting(chunks = 1) {
          override fun readsAtOnce(container: Container) = 1

          override suspend fun answer(
            container: Container,
            turn: ReadTurn,
          ) {
            if (container.lease?.containerId != id(SILENT + 1)) turn.patiently { delay(30_000) }
          }
        }
      var atMillis = 0L
      val reading =
        launch {
          streams(running(SILENT + 1, SILENT + 1), source).stream(everything).collect {
            if (it.container.lease?.containerId == id(SILENT + 1)) atMillis = testScheduler.currentTime
          }
        }
      advanceTimeBy(10_000)
      reading.cancel()
      assertTrue(atMillis in 1 until 10_000, "nothing came from the node that answers")
    }

  @Test
  fun ofOneNodeNoMoreIsReadThanItIsGivenHoweverFilesComeAndGo() =
    runTest {
      val calls = AtomicInteger()
      val source =
        object : Counting(chunks = 0) {
          override fun readsAtOnce(container: Container) = 2

          override fun reader(
            container: Container,
            fileName: String,
            start: LogStart,
            follow: Boolean,
          ): LogReader =
            object : LogReader {
              private var looks = 0

              override suspend fun read(
                container: Container,
                turn: ReadTurn,
              ): LogReader.Next =
                turn.use {
                  mostOpen.accumulateAndGet(open.incrementAndGet(), ::maxOf)
                  // Some take long, and others come and go beside them.
                  delay(if (calls.incrementAndGet() % 5 == 0) 60 else 1)
                  open.decrementAndGet()
                  if (looks++ < 20) return@use LogReader.Next.Later(7)
                  turn.send(LogPiece.End(0, ""))
                  LogReader.Next.Ended
                } ?: LogReader.Next.Soon

              override fun close() = Unit
            }
        }
      assertEquals(6, streams(running(3, nodes = 1), source).stream(everything).toList().size)
      assertEquals(2, source.mostOpen.get())
    }

  @Test
  fun streamsAndFilesHaveAMost() =
    runTest {
      val budget = ReadBudget(maxStreams = 2, maxFiles = 10)
      val streams = streams(running(3), Counting(chunks = 1), budget)
      val open = List(2) { launch { streams.stream(everything.copy(containerIds = setOf(id(1)))).collect { awaitCancellation() } } }
      advanceTimeBy(100)
      assertThrows<AmException.ResourceExhausted> { streams.stream(everything).toList() }
      open.forEach { it.cancel() }
      advanceTimeBy(100)
      assertEquals(6, streams.stream(everything).toList().count { it.piece is LogPiece.End })
      val many = streams(running(6), Counting(chunks = 1), budget)
      assertThrows<AmException.ResourceExhausted> { many.stream(everything).toList() }
      // What was refused is not counted.
      assertEquals(6, streams.stream(everything).toList().count { it.piece is LogPiece.End })
    }

  @Test
  fun nothingIsLostBetweenTimeLimitsAndWhatComesBackMeanwhile() =
    runBlocking(Dispatchers.Default) {
      // Every look ends at about the moment when the next is due.
      val source =
        object : LogSource {
          override suspend fun files(container: Container): List<LogFile> = emptyList()

          override fun readsAtOnce(container: Container): Int = 4

          override fun reader(
            container: Container,
            fileName: String,
            start: LogStart,
            follow: Boolean,
          ): LogReader =
            object : LogReader {
              private var looks = 0

              override suspend fun read(
                container: Container,
                turn: ReadTurn,
              ): LogReader.Next =
                turn.use {
                  if (looks++ < LOOKS) {
                    delay(1)
                    LogReader.Next.Later(1)
                  } else {
                    turn.send(LogPiece.End(0, ""))
                    LogReader.Next.Ended
                  }
                } ?: LogReader.Next.Soon

              override fun close() = Unit
            }
        }
      val streams = streamsInRealTime(running(20), source)
      val counts = List(8) { async { streams.stream(everything).toList().count { it.piece is LogPiece.End } } }
      withTimeout(100_000) { counts.forEach { assertEquals(40, it.await()) } }
    }

  private companion object {
    const val LOOKS = 300

    /** Fewer than may wait and read together. */
    const val SILENT = 150
  }
}

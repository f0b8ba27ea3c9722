package knit.am.bench

import com.sun.management.ThreadMXBean
import knit.am.ApplicationLoop
import knit.am.bench.CoreUnderTest.after
import knit.am.bench.CoreUnderTest.ended
import knit.am.bench.CoreUnderTest.requested
import knit.am.bench.CoreUnderTest.running
import knit.am.core.Application
import knit.am.core.Input
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.yarn.FakeYarn
import knit.am.yarn.Leases
import knit.am.yarn.RmConnection
import knit.am.yarn.RmSession
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.test.StandardTestDispatcher
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.apache.hadoop.yarn.api.ApplicationMasterProtocol
import org.apache.hadoop.yarn.api.protocolrecords.AllocateRequest
import org.apache.hadoop.yarn.api.records.NodeReport
import java.io.File
import java.lang.management.ManagementFactory
import java.util.Locale
import kotlin.time.Duration.Companion.minutes

private const val CONTAINERS = CoreBench.CONTAINERS
private const val NODES = CoreBench.NODES

/** Rounds that are thrown away: the compiler is at work in them. */
private const val WARMING_UP = 3

/** What [CoreBench] starts: the file to write, and how many rounds count. */
fun main(arguments: Array<String>) {
  val (file, repeats) = arguments
  val samples = LinkedHashMap<Figure, MutableList<Double>>()
  repeat(WARMING_UP + repeats.toInt()) { round ->
    val note = { figure: Figure, value: Double -> if (round >= WARMING_UP) samples.getOrPut(figure, ::mutableListOf) += value }
    CoreMeasures(note).round()
  }
  samples.forEach { (figure, values) -> println(figure.row(values)) }
  File(file)
    .apply {
      absoluteFile.parentFile.mkdirs()
    }.writeText(samples.entries.joinToString(",\n", "{\n", "\n}\n") { it.key.json(it.value) })
}

internal enum class Figure(
  val title: String,
  val unit: String,
) {
  IDLE_HEARTBEAT("a heartbeat, everything running: CPU", "µs"),
  IDLE_HEARTBEAT_BYTES("… allocated", "KiB"),
  RUN("a container from asked for to running: CPU", "µs"),
  RUN_BYTES("… allocated", "KiB"),
  RUN_HEARTBEAT("… CPU for each heartbeat meanwhile", "ms"),
  RUN_HEARTBEATS("… heartbeats for all", ""),
  END("a container from running to ended: CPU", "µs"),
  END_BYTES("… allocated", "KiB"),
  CORE("an input to the core: CPU", "µs"),
  CORE_RATE("… inputs a second", ""),
  CORE_BYTES("… allocated", "KiB"),
  LOOP("an input through the loop: CPU", "µs"),
  LOOP_RATE("… inputs a second", ""),
  REQUESTED_MEMORY("memory of a container that is asked for", "B"),
  RUNNING_MEMORY("… that runs", "B"),
  ENDED_MEMORY("… that has ended, with 200 characters of diagnostics", "B"),
  RESTARTED_MEMORY("… that runs after another one failed at its rank", "B"),
  LIST("listing 10,000 containers, page by page: CPU", "ms"),
  WATCH("the whole lives of 10,000 containers told to one who watches: CPU", "ms"),
  WATCH_EVENT("… an event: CPU", "µs"),
  WATCH_RATE("… events a second", ""),
  PUT("a key that is written, among 10,000: CPU", "µs"),
  PUT_RATE("… a second", ""),
  PUT_BYTES("… allocated", "KiB"),
  GET("a key that is read: CPU", "µs"),
  COUNT("10,000 keys counted: CPU", "µs"),
  TELL("a change of a key told to one who watches: CPU", "µs"),
  TELL_RATE("… a second", ""),
  WRITE_DOWN("… written down as a line of JSON: CPU", "µs"),
  ;

  fun row(values: List<Double>): String =
    "%-58s %10s  (%s–%s)".format(
      Locale.ROOT,
      if (unit.isEmpty()) title else "$title [$unit]",
      values.median.short,
      values.min().short,
      values.max().short,
    )

  fun json(values: List<Double>): String =
    """  "${name.lowercase()}": {"title": "$title", "unit": "$unit", "median": ${values.median}, "samples": $values}"""

  private val List<Double>.median get() = sorted()[size / 2]
  private val Double.short get() = if (this < 100) "%.2f".format(Locale.ROOT, this) else "%.0f".format(Locale.ROOT, this)
}

/** One round of everything. */
@OptIn(ExperimentalCoroutinesApi::class)
internal class CoreMeasures(
  private val note: (Figure, Double) -> Unit,
) {
  fun round() {
    core()
    loop()
    list()
    measureWatch(CoreUnderTest.application(CONTAINERS), wholeLife, note)
    measureStore(CoreUnderTest.application(1), note)
    memory()
    withYarn()
  }

  private val wholeLife: List<Input> =
    (1..CONTAINERS).map(CoreUnderTest::granted) + (1..CONTAINERS).map(CoreUnderTest::started) +
      (1..CONTAINERS).map { CoreUnderTest.completed(it) }

  private fun core() {
    val application = CoreUnderTest.application(CONTAINERS)
    val cost = Spent.on { wholeLife.fold(application) { soFar, input -> soFar.after(input) } }
    note(Figure.CORE, cost.micros / wholeLife.size)
    note(Figure.CORE_RATE, wholeLife.size / cost.micros * 1e6)
    note(Figure.CORE_BYTES, cost.kib / wholeLife.size)
  }

  private fun loop() =
    runBlocking {
      // Grants and ends only: each launch is confirmed by an input of the loop's own.
      val events = (1..CONTAINERS).map(CoreUnderTest::granted)
      val ends = (1..CONTAINERS).map { CoreUnderTest.completed(it) }
      val loop = CoreUnderTest.loop(CoreUnderTest.application(CONTAINERS))
      events.forEach(loop::post)
      val cost =
        Spent.on {
          val running = launch { loop.run() }
          loop.snapshots.first { it.running == CONTAINERS }
          ends.forEach(loop::post)
          loop.snapshots.first { it.ended == CONTAINERS }
          running.cancelAndJoin()
        }
      note(Figure.LOOP, cost.micros / wholeLife.size)
      note(Figure.LOOP_RATE, wholeLife.size / cost.micros * 1e6)
    }

  private fun list() {
    val application = running()
    val cost =
      Spent.on {
        var page = CoreUnderTest.listed(application)
        var count = page.containersCount
        while (page.nextPageToken.isNotEmpty()) {
          page = CoreUnderTest.listed(application, page.nextPageToken)
          count += page.containersCount
        }
        check(count == CONTAINERS) { "$count containers listed" }
      }
    note(Figure.LIST, cost.micros / 1e3)
  }

  private fun memory() {
    note(Figure.REQUESTED_MEMORY, retained { CoreUnderTest.application(CONTAINERS) })
    note(Figure.RUNNING_MEMORY, retained(::running))
    note(Figure.ENDED_MEMORY, retained(::ended))
    note(Figure.RESTARTED_MEMORY, retained(::restarted))
  }

  private fun running(): Application =
    (1..CONTAINERS).fold(CoreUnderTest.application(CONTAINERS)) { soFar, number ->
      soFar.after(CoreUnderTest.granted(number)).after(CoreUnderTest.started(number))
    }

  private fun ended(): Application =
    (1..CONTAINERS).fold(running()) { soFar, number ->
      soFar.after(CoreUnderTest.completed(number, diagnostics = "line of what the program said $number ".repeat(5)))
    }

  private fun restarted(): Application =
    (1..CONTAINERS).fold(CoreUnderTest.application(CONTAINERS, maxRestarts = 1)) { soFar, number ->
      soFar
        .after(CoreUnderTest.granted(2 * number))
        .after(CoreUnderTest.started(2 * number))
        .after(CoreUnderTest.completed(2 * number, exitStatus = 1, diagnostics = "ValueError: no such table $number"))
        .after(CoreUnderTest.granted(2 * number + 1))
        .after(CoreUnderTest.started(2 * number + 1))
    }

  /** Bytes for each container of what [make] returns. */
  private fun retained(make: () -> Application): Double {
    kept = make()
    val with = usedHeap()
    check(kept?.run { running + requested + ended } == CONTAINERS)
    kept = null
    return (with - usedHeap()).toDouble() / CONTAINERS
  }

  private var kept: Application? = null

  /** Once nothing more is found to be garbage: some of it is only freed by the collection after the next. */
  private tailrec fun usedHeap(before: Long = Long.MAX_VALUE): Long {
    System.gc()
    val used = ManagementFactory.getMemoryMXBean().heapMemoryUsage.used
    return if (before - used < NOISE_BYTES) used else usedHeap(used)
  }

  /** All of it on one thread, in virtual time; what the YARN that is played costs is left out. */
  private fun withYarn() =
    runTest(timeout = 30.minutes) {
      val cluster = PlayedCluster(FakeYarn())
      val loop = begin(cluster)
      runCurrent()

      val asked = cluster.spent { askInBatches(loop) }
      note(Figure.RUN, asked.micros / CONTAINERS)
      note(Figure.RUN_BYTES, asked.kib / CONTAINERS)
      note(Figure.RUN_HEARTBEAT, asked.micros / 1e3 / cluster.heartbeats)
      note(Figure.RUN_HEARTBEATS, cluster.heartbeats.toDouble())

      advanceTimeBy(40_000)
      val idle = cluster.spent { advanceTimeBy(200_000) }
      note(Figure.IDLE_HEARTBEAT, idle.micros / cluster.heartbeats)
      note(Figure.IDLE_HEARTBEAT_BYTES, idle.kib / cluster.heartbeats)

      val end =
        cluster.spent {
          for (batch in cluster.live().chunked(CONTAINERS / 10)) {
            cluster.complete(batch)
            advanceTimeBy(1_000)
          }
        }
      check(loop.snapshots.value.ended == CONTAINERS)
      note(Figure.END, end.micros / CONTAINERS)
      note(Figure.END_BYTES, end.kib / CONTAINERS)
    }

  private fun TestScope.begin(cluster: PlayedCluster): ApplicationLoop {
    val session = RmSession(lazy { cluster }, Leases(), StandardTestDispatcher(testScheduler)) { currentTime }
    val loop = CoreUnderTest.loop(CoreUnderTest.application(0), session::release)
    val allocator = CoreUnderTest.allocator(session, loop) { currentTime }
    backgroundScope.launch { loop.run() }
    backgroundScope.launch {
      val registration = session.register("host", 1)
      loop.post(CoreUnderTest.registered())
      allocator.run(registration, CompletableDeferred(runCatching { session.nodes() }))
    }
    backgroundScope.launch {
      while (true) {
        repeat(TENTHS) {
          cluster.beatTenth(it)
          delay(1_000L / TENTHS)
        }
      }
    }
    return loop
  }

  private fun TestScope.askInBatches(loop: ApplicationLoop) {
    repeat(10) {
      loop.post(CoreUnderTest.added(CONTAINERS / 10))
      advanceTimeBy(1_000)
    }
    var seconds = 0
    while (loop.snapshots.value.running < CONTAINERS) {
      check(seconds++ < 120) { "only ${loop.snapshots.value.running} run" }
      advanceTimeBy(1_000)
    }
  }

  private companion object {
    const val TENTHS = 10
    const val NOISE_BYTES = 10_000
  }

  /** The YARN the bench talks to, with what it costs itself. */
  private class PlayedCluster(
    private val yarn: FakeYarn,
  ) : RmConnection by yarn {
    private val nodes =
      (0 until NODES).map {
        FakeYarn.Node("node%04d.example.org".format(it), Resource(8 * SMALL.memoryMib, 8), "/rack${it / 40}")
      }
    private var own = Spent(0.0, 0.0)
    var heartbeats = 0
      private set

    init {
      nodes.forEach(yarn::add)
    }

    fun live() = yarn.live.keys.toList()

    fun complete(batch: List<org.apache.hadoop.yarn.api.records.ContainerId>) = apart { batch.forEach { yarn.complete(it) } }

    fun beatTenth(tenth: Int) =
      apart {
        if (yarn.pending > 0) nodes.subList(tenth * NODES / TENTHS, (tenth + 1) * NODES / TENTHS).forEach(yarn::beat)
      }

    /** What [work] costs without us; [heartbeats] is how many there were meanwhile. */
    fun spent(work: () -> Unit): Spent {
      own = Spent(0.0, 0.0)
      heartbeats = 0
      return Spent.on(work) - own
    }

    override val protocol: ApplicationMasterProtocol =
      object : ApplicationMasterProtocol by yarn {
        override fun allocate(request: AllocateRequest) =
          apart {
            heartbeats++
            yarn.allocate(request).also { yarn.requests.clear() }
          }
      }

    override fun nodeReports(): List<NodeReport> = apart { yarn.nodeReports() }

    private fun <T> apart(work: () -> T): T {
      val before = Spent.now()
      return work().also { own += Spent.now() - before }
    }
  }
}

/** What this thread has used; the collector's work is another thread's, and shows in what was allocated. */
internal class Spent(
  val micros: Double,
  val kib: Double,
) {
  operator fun minus(other: Spent) = Spent(micros - other.micros, kib - other.kib)

  operator fun plus(other: Spent) = Spent(micros + other.micros, kib + other.kib)

  companion object {
    private val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean

    fun now() = Spent(threads.currentThreadCpuTime / 1e3, threads.getThreadAllocatedBytes(Thread.currentThread().id) / 1024.0)

    inline fun on(work: () -> Unit): Spent {
      val before = now()
      work()
      return now() - before
    }
  }
}

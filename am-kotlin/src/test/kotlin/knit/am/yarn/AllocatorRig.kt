package knit.am.yarn

import knit.am.ApplicationLoop
import knit.am.core.Effect
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.Registered
import knit.am.core.Resource
import knit.am.core.ServiceSpec
import knit.am.core.service
import knit.am.core.start
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runCurrent
import java.time.Clock
import java.time.ZoneOffset

/** An allocator between the core and a faked ResourceManager, in virtual time. */
@OptIn(ExperimentalCoroutinesApi::class)
internal abstract class AllocatorRig {
  protected val resourceManager = FakeResourceManager()
  protected val effects = mutableListOf<Effect>()
  protected lateinit var loop: ApplicationLoop
  protected lateinit var allocator: Allocator
  protected var failure: Throwable? = null
    private set

  /** Of each heartbeat, when it was sent. */
  protected val beats = mutableListOf<Long>()

  /** Starts the loop and the allocator; both live in the background. */
  protected fun TestScope.running(
    spec: ServiceSpec = service(),
    report: Result<List<NodeRoom>?> = Result.success(resourceManager.rooms),
    maximum: Resource = MOST,
  ): Job {
    loop = ApplicationLoop(start("worker" to spec), Clock.fixed(NOW, ZoneOffset.UTC), effects::add) { throw it }
    val timed =
      object : ResourceManager by resourceManager {
        override suspend fun allocate(demand: Demand): Allocation {
          beats += currentTime
          return resourceManager.allocate(demand)
        }
      }
    allocator = Allocator(timed, loop.snapshots, loop::post, Clock.fixed(NOW, ZoneOffset.UTC)) { currentTime }
    backgroundScope.launch { loop.run() }
    loop.post(Registered(maximum))
    runCurrent()
    val job =
      backgroundScope.launch {
        try {
          allocator.run(Registration(maximum, countsVcores = false), CompletableDeferred(report))
        } catch (gone: LeftBehindException) {
          failure = gone
        }
      }
    runCurrent()
    return job
  }

  protected fun TestScope.nextBeat() {
    val seen = beats.size
    while (beats.size == seen) advanceTimeBy(1)
    runCurrent()
  }
}

package knit.am.bench

import knit.am.ApplicationLoop
import knit.am.EffectHandler
import knit.am.core.Application
import knit.am.core.Completed
import knit.am.core.ContainerState
import knit.am.core.Granted
import knit.am.core.Input
import knit.am.core.Launch
import knit.am.core.Lease
import knit.am.core.NOW
import knit.am.core.Registered
import knit.am.core.Release
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.Shape
import knit.am.core.Started
import knit.am.core.adding
import knit.am.core.decide
import knit.am.core.service
import knit.am.grpc.pageOf
import knit.am.yarn.Allocator
import knit.am.yarn.ResourceManager
import knit.v1.ListContainersRequest
import knit.v1.ListContainersResponse
import java.time.Clock
import java.time.ZoneOffset

/** All that [CoreBench] knows of the core by its names, so that one file changes where those do. */
internal object CoreUnderTest {
  private const val SERVICE = "worker"
  private val most = Resource(64 * 1024, 64)
  private val clock = Clock.fixed(NOW, ZoneOffset.UTC)

  fun application(
    instances: Int,
    maxRestarts: Int = 0,
  ): Application =
    knit.am.core
      .start(SERVICE to service(instances, maxRestarts = maxRestarts))
      .after(Registered(most))

  fun Application.after(input: Input): Application = decide(input, NOW).application

  fun registered(): Input = Registered(most)

  fun added(count: Int): Input = adding(SERVICE, count)

  /** The lease's words are strings of their own, as they are when they come from YARN. */
  fun granted(number: Int): Input = Granted(lease(number), Shape(SMALL))

  fun started(number: Int): Input = Started(containerId(number))

  fun completed(
    number: Int,
    exitStatus: Int = 0,
    diagnostics: String = "",
  ): Input = Completed(containerId(number), exitStatus, diagnostics)

  private fun containerId(number: Int) = "container_1700000000000_0001_01_%06d".format(number)

  private fun lease(number: Int): Lease {
    val node = "node%04d.example.org".format(number % CoreBench.NODES)
    return Lease(containerId(number), "$node:8041", "$node:8042", SMALL)
  }

  val Application.running: Int get() = count(ContainerState.RUNNING)

  val Application.requested: Int get() = count(ContainerState.REQUESTED)

  val Application.ended: Int get() = count(ContainerState.SUCCEEDED)

  fun listed(
    application: Application,
    pageToken: String = "",
  ): ListContainersResponse = application.pageOf(ListContainersRequest.newBuilder().setPageToken(pageToken).build())

  /** A loop whose launches are confirmed at once. */
  fun loop(
    application: Application,
    release: (containerId: String) -> Unit = {},
  ): ApplicationLoop {
    lateinit var loop: ApplicationLoop
    val effects =
      EffectHandler { effect ->
        when (effect) {
          is Launch -> {
            loop.post(Started(effect.lease.containerId))
          }

          is Release -> {
            release(effect.containerId)
          }

          else -> {}
        }
      }
    loop = ApplicationLoop(application, clock, effects) { throw it }
    return loop
  }

  fun allocator(
    resourceManager: ResourceManager,
    loop: ApplicationLoop,
    nowMillis: () -> Long,
  ) = Allocator(resourceManager, loop.snapshots, loop::post, clock, nowMillis)
}

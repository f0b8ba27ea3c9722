package knit.am.core

import org.junit.jupiter.api.Assertions.assertTrue
import java.time.Duration
import java.time.Instant

/** An application with a cluster that does at once what it is asked for, and looks after each input whether an update keeps to its bounds. */
internal class UpdateRig(
  spec: ServiceSpec,
  /** Those containers that end with 1 as soon as they have started. */
  private val crashes: (Container) -> Boolean = { false },
  /** Without looking after each input, which takes its time with many ranks. */
  private val looks: Boolean = true,
) {
  var application = registered("worker" to spec)
    private set
  var now: Instant = NOW
    private set
  private var leases = 0
  val notices = ArrayList<Noticed>()

  /** The most that were leased, and the fewest that were ready since [watch]. */
  var mostLive = 0
    private set
  var fewestReady = Int.MAX_VALUE
    private set

  val service get() = application.services.getValue("worker")
  val latest get() = application.regularSlots("worker").map { it.latest }.toList()

  fun watch() {
    mostLive = 0
    fewestReady = Int.MAX_VALUE
  }

  fun send(input: Input): Decision<*> {
    val decision = application.decide(input, now)
    application = decision.application
    notices +=
      decision.changes
        ?.changes
        .orEmpty()
        .filterIsInstance<Noticed>()
    if (looks) look(input)
    return decision
  }

  private fun look(after: Input) {
    val slots = application.slots.getValue("worker")
    for (slot in slots) {
      val alive = slot.attempts.filter { it.state.isLeased }
      assertTrue(alive.size <= 1) { "two live containers at one rank after $after: $alive" }
    }
    mostLive = maxOf(mostLive, slots.sumOf { slot -> slot.attempts.count { it.state.isLeased } })
    fewestReady = minOf(fewestReady, slots.count { it.isReady })
  }

  fun update(
    spec: ServiceSpec,
    replaces: Boolean = false,
  ) = send(UpdateService("worker", UpdateAction.Pass(spec, replacesUpdate = replaces)))

  fun act(action: UpdateAction) = send(UpdateService("worker", action))

  /** Grants what is wanted, starts what is launched, ends what is to stop, until there is nothing to do. */
  fun serve() {
    while (true) {
      val wanted = application.wantedShapes()
      val open = application.containers.filter { !it.state.isFinal }.toList()
      val launching = open.filter { it.state == ContainerState.LAUNCHING }
      val stopping = open.filter { it.state == ContainerState.STOPPING }
      val crashing = open.filter { it.state == ContainerState.RUNNING && crashes(it) }
      wanted.forEach { (size, count) -> repeat(count) { send(granted(++leases, node = leases % 7, resource = size.resource)) } }
      launching.forEach { send(Started(checkNotNull(it.lease).containerId)) }
      stopping.forEach { send(Completed(checkNotNull(it.lease).containerId, 143, "")) }
      crashing.forEach {
        if (application.container(it.key)?.state ==
          ContainerState.RUNNING
        ) {
          send(Completed(checkNotNull(it.lease).containerId, 1, "No module"))
        }
      }
      if (wanted.isEmpty() && launching.isEmpty() && stopping.isEmpty() && crashing.isEmpty()) return
    }
  }

  /** Serves, and lets time pass, until [isDone] or for so long. */
  fun run(
    atMost: Duration = Duration.ofHours(1),
    isDone: () -> Boolean = { service.update == null },
  ) {
    val end = now.plus(atMost)
    serve()
    while (!isDone()) {
      val next = application.nextDeadline
      check(next != null && next <= end) { "it does not get there: $service\n${application.containers.joinToString("\n")}" }
      now = maxOf(now, next)
      send(Due)
      serve()
    }
  }

  fun pass(duration: Duration) {
    now = now.plus(duration)
    send(Due)
  }
}

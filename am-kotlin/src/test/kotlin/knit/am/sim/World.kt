package knit.am.sim

import knit.am.core.AddContainers
import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Command
import knit.am.core.Decision
import knit.am.core.DriverEnded
import knit.am.core.Due
import knit.am.core.Effect
import knit.am.core.EndApplication
import knit.am.core.FinalStatus
import knit.am.core.HISTORY
import knit.am.core.Input
import knit.am.core.Launch
import knit.am.core.LaunchFailed
import knit.am.core.LaunchFault
import knit.am.core.Lease
import knit.am.core.NOW
import knit.am.core.Outcome
import knit.am.core.Phase
import knit.am.core.PlaceKey
import knit.am.core.Placement
import knit.am.core.Registered
import knit.am.core.Release
import knit.am.core.ReportReady
import knit.am.core.Resource
import knit.am.core.Spread
import knit.am.core.StartDriver
import knit.am.core.Started
import knit.am.core.StopContainers
import knit.am.core.StopDriver
import knit.am.core.Unregister
import knit.am.core.Unregistered
import knit.am.core.WaitingCause
import knit.am.core.decide
import knit.am.core.wanted
import knit.am.yarn.Allocator
import knit.am.yarn.Leases
import knit.am.yarn.RmSession
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineExceptionHandler
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancel
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.selects.onTimeout
import kotlinx.coroutines.selects.select
import kotlinx.coroutines.test.StandardTestDispatcher
import kotlinx.coroutines.test.TestCoroutineScheduler
import org.apache.hadoop.yarn.api.records.ContainerId
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import java.io.IOException
import java.lang.management.ManagementFactory
import java.time.Clock
import java.time.Duration
import java.time.Instant
import java.time.ZoneId
import java.time.ZoneOffset

/**
 * A cluster and its clients around the allocator, the session with the ResourceManager and the core, all in virtual time on
 * one thread: the same steps always lead to the same.
 *
 * The ResourceManager, the NodeManagers and the clients have memories of their own, and the [Oracle] looks at every turn.
 */
@OptIn(ExperimentalCoroutinesApi::class)
internal class World(
  private val setup: Setup,
  checkInterval: Int = 1,
) {
  private val scheduler = TestCoroutineScheduler()
  private val dispatcher = StandardTestDispatcher(scheduler)
  private var failure: Throwable? = null
  private val scope = CoroutineScope(dispatcher + Job() + CoroutineExceptionHandler { _, thrown -> failure = failure ?: thrown })
  private var clockOffset = Duration.ZERO
  private val clock =
    object : Clock() {
      override fun getZone(): ZoneId = ZoneOffset.UTC

      override fun withZone(zone: ZoneId): Clock = this

      override fun instant(): Instant = NOW.plusMillis(scheduler.currentTime) + clockOffset
    }

  val yarn = ModelYarn(setup.countsVcores)
  private val machines = ModelMachines(setup.nodes, yarn) { scheduler.currentTime }
  private val session = RmSession(lazy { yarn }, Leases(), dispatcher) { scheduler.currentTime }
  private val beginning = Application.start("application_1_0001", 1, HISTORY, setup.services, NOW, hasDriver = setup.driver != null)
  private val applications = MutableStateFlow(beginning)
  private val inbox = Channel<Message>(Channel.UNLIMITED)
  private val oracle = Oracle(applications.value, checkInterval)
  private val allocator = Allocator(session, applications, ::post, clock) { scheduler.currentTime }
  private val rest = AtRest(yarn, allocator)
  val feed = ModelFeed(applications.value)
  private val watcher = Watcher(feed, scope, { application }) { scheduler.currentTime }
  private var stalledUntil = 0L
  private val underWay = HashMap<String, Job>()
  private val outcome = CompletableDeferred<Outcome>()
  private val clients = Clients(::send, { application }, clock::instant, setup)
  private var driver: Job? = null
  private var adds = 0

  val application: Application get() = applications.value
  val seconds: Long get() = scheduler.currentTime / 1_000
  var turns = 0L
    private set

  /** Called with the CPU time that [decide] took for each turn, in ns. */
  var onTurn: (Long) -> Unit = {}

  init {
    yarn.onHeartbeat = { granted ->
      val missing = granted.filterNot { application.knows("$it") }
      if (missing.isNotEmpty()) throw AssertionError("a heartbeat is sent before these grants are worked in: $missing")
    }
    scope.launch { runLoop() }
    scope.launch { runMaster() }
    scope.launch {
      while (true) {
        delay(BEAT_MILLIS)
        machines.beat()
      }
    }
    pass(1)
  }

  fun take(step: Step) {
    when (step) {
      is Pass -> pass(step.millis)
      is Add -> add(step)
      is StopContainer -> stopContainer(step.container)
      is StopRank -> stopRank(step.rank)
      is EndAll -> clients.request(EndApplication(step.finalStatus, "asked for"))
      is Ask -> clients.ask(step)
      is SetClock -> clockOffset += Duration.ofSeconds(step.seconds)
      is RestartRm -> silence(step.downMillis, isRestart = true)
      is SilenceRm -> silence(step.downMillis, isRestart = false)
      is LoseAnswers -> yarn.answersToLose = step.count
      is LoseRequests -> yarn.requestsToLose = step.count
      is RefuseTokens -> yarn.tokensToRefuse = step.count
      is LoseCount -> yarn.loseCount()
      is LoseNode -> machines.lose(machines.pick(step.node), step.tellsEnds)
      is LoseLargest -> machines.loseLargest()
      is BringNodes -> machines.bring()
      is RestartNode -> machines.pick(step.node).restart()
      is DisturbNode -> machines.pick(step.node).disturb(step)
      is Preempt -> pickLease(step.container)?.let { yarn.end(it, ModelYarn.PREEMPTED, "Container preempted by scheduler") }
      is EndProgram -> machines.endProgram(step)
      is EndUntold -> yarn.endsUntold = step.count
      is GrantUnasked -> repeat(step.count) { yarn.grantUnasked(isUnheardOf = it == 0) }
      is RestartOnRelease -> yarn.restartsOnRelease = true
      is LowerMaximum -> yarn.configuredMaximum = LOWERED_MAXIMUM
      is DisturbAll -> machines.disturbAll(step)
      is StallLoop -> stalledUntil = scheduler.currentTime + step.millis
      is Watch -> watcher.goOn()
      is PauseWatch -> watcher.pause(step.millis)
      is StopWatch -> watcher.stop()
      is Settle -> settle()
    }
    scheduler.runCurrent()
    rethrow()
  }

  /** No fault is left; everything must reach its end within [limitSeconds]. */
  fun finish(limitSeconds: Long) {
    calm()
    machines.bring()
    watcher.goOn()
    settle()
    if (allocator.waitingReasons().any { it.cause == WaitingCause.REFUSED }) {
      pass(REFUSAL_MILLIS)
      settle()
      assertTrue(allocator.waitingReasons().none { it.cause == WaitingCause.REFUSED }, "what was refused is not tried again")
    }
    val deadline = seconds + limitSeconds
    val isStuck =
      application.size == 0 || setup.isEndedByClients || application.wanted().keys.any(rest::fitsNowhere) ||
        application.wantedShapes().keys.any { it.placement != Placement.ANYWHERE }
    if (!application.isDone && isStuck) clients.request(EndApplication(FinalStatus.SUCCEEDED, "nothing to do"))
    while (application.phase != Phase.ENDED) {
      assertTrue(seconds < deadline, "it does not end within $limitSeconds s: $application\n${application.containers.joinToString("\n")}")
      pass(1_000)
    }
    pass(5_000)
    assertEquals(application.outcome?.diagnostics, yarn.finalStatus?.diagnostics, "what YARN was told")
    // What is granted when it has ended goes back with the application.
    val kept = yarn.live().filter { it.isLaunched && !it.isReleased && application.container("${it.id}") != null }
    assertTrue(kept.isEmpty() || application.header.isGivenBack, "neither ended nor given back: ${kept.map { it.id }}")
    oracle.check(application, clock.instant())
    watcher.checkUpToDate(application)
    scope.cancel()
  }

  /** After a while without faults what is asked is what is wanted, nothing leaks, and who waits can say why. */
  private fun settle() {
    calm()
    pass(HEARD_MILLIS)
    val refusals = yarn.refusals
    pass(SETTLE_MILLIS)
    assertEquals(refusals, yarn.refusals, "it is known how large nodes are, and YARN is asked for more")
    var wrong: List<String> = emptyList()
    // Programs end meanwhile, and what follows takes a heartbeat or two.
    for (attempt in 1..SETTLE_TRIES) {
      wrong = rest.whatIsWrong(application)
      if (wrong.isEmpty()) return watcher.checkUpToDate(application)
      pass(SETTLE_STEP_MILLIS)
    }
    throw AssertionError(
      "at $seconds s, undisturbed:\n${wrong.joinToString("\n")}\n$application\n${application.containers.joinToString("\n")}",
    )
  }

  private fun calm() {
    yarn.isDown = false
    yarn.answersToLose = 0
    yarn.requestsToLose = 0
    yarn.tokensToRefuse = 0
    yarn.endsUntold = 0
    yarn.restartsOnRelease = false
    yarn.configuredMaximum = ModelYarn.CONFIGURED_MAXIMUM
    stalledUntil = 0
    watcher.pause(0)
    machines.calm()
  }

  fun pass(millis: Long) {
    scheduler.advanceTimeBy(millis)
    scheduler.runCurrent()
    rethrow()
    clients.repeatUnanswered()
  }

  private fun rethrow() {
    failure?.let { throw AssertionError("at $seconds s: ${it.message}\n${application.containers.joinToString("\n")}", it) }
  }

  // The Application Master.

  private class Message(
    val input: Input,
    val answer: (Result<Decision<*>>) -> Unit = {},
  )

  private fun post(input: Input) {
    inbox.trySend(Message(input))
  }

  private suspend fun runLoop() {
    while (true) {
      val message = nextMessage()
      while (scheduler.currentTime < stalledUntil) delay(STALL_STEP_MILLIS)
      // What is due comes before what is heard.
      val deadline = application.nextDeadline
      if (deadline != null && clock.instant() >= deadline) decide(Message(Due))
      decide(message)
    }
  }

  private fun decide(message: Message) {
    val before = application
    val now = clock.instant()
    val began = threads.currentThreadCpuTime
    val decision =
      try {
        before.decide(message.input, now)
      } catch (refused: AmException) {
        message.answer(Result.failure(refused))
        return
      }
    onTurn(threads.currentThreadCpuTime - began)
    turns++
    oracle.turn(before, message.input, decision, now)
    decision.effects.filterIsInstance<Launch>().forEach { checkPlace(it, decision.application) }
    applications.value = decision.application
    decision.changes?.let(feed::append)
    decision.effects.forEach(::carryOut)
    message.answer(Result.success(decision))
  }

  /** Nothing is launched where it must not be. */
  private fun checkPlace(
    launch: Launch,
    after: Application,
  ) {
    val container = checkNotNull(after.container(launch.key))
    val placement = after.shapeOf(container).placement
    val node = yarn.nodes.getValue(launch.lease.nodeId.substringBefore(':'))
    val isAllowed = !placement.isStrict || node.name in placement.nodes || node.rack in placement.racks
    if (!isAllowed || (placement.label ?: "") != node.partition) throw AssertionError("$launch is not for ${node.name}: $placement")
    if (placement.spread != Spread.ANTI_AFFINITY) return
    val others = after.containersOf(launch.key.place.serviceName).count { it.state.isLeased && it.lease?.nodeId == launch.lease.nodeId }
    if (others > 1) throw AssertionError("$launch is one of $others on ${node.name}")
  }

  private suspend fun nextMessage(): Message {
    val deadline = application.nextDeadline ?: return inbox.receive()
    val wait = Duration.between(clock.instant(), deadline)
    if (wait.isNegative || wait.isZero) return Message(Due)
    return select {
      inbox.onReceive { it }
      onTimeout(wait.toMillis() + 1) { Message(Due) }
    }
  }

  private suspend fun runMaster() {
    val registration = session.register("host", 1)
    post(Registered(registration.maxResource))
    allocator.run(registration, CompletableDeferred(runCatching { session.nodes() }))
    val decided = outcome.await()
    while (runCatching { session.unregister(decided) }.isFailure) delay(RETRY_MILLIS)
    post(Unregistered)
  }

  /** One thing after the other for one container, side by side for several. */
  private fun carryOut(effect: Effect) {
    when (effect) {
      is Launch -> inTurn(effect.lease.containerId) { start(effect) }
      is StartDriver -> driver = scope.launch { runDriver(checkNotNull(setup.driver)) }
      is StopDriver -> scope.launch { stopDriver() }
      is knit.am.core.StopContainer -> inTurn(effect.lease.containerId) { stop(effect.lease) }
      is Release -> inTurn(effect.containerId) { release(effect.containerId) }
      is Unregister -> outcome.complete(effect.outcome)
    }
  }

  private fun inTurn(
    containerId: String,
    work: suspend () -> Unit,
  ) {
    val previous = underWay[containerId]
    val job =
      scope.launch {
        previous?.join()
        work()
      }
    underWay[containerId] = job
    job.invokeOnCompletion { underWay.remove(containerId, job) }
  }

  private suspend fun start(launch: Launch) {
    val lease = launch.lease
    val id = ContainerId.fromString(lease.containerId)
    val number = id.containerId.toInt()
    val command = launch.spec.command
    if (command == Commands.IMPOSSIBLE) return post(LaunchFailed(lease.containerId, "no such file", LaunchFault.SPECIFICATION))
    if (command == Commands.MOODY && number % 2 == 0) return post(LaunchFailed(lease.containerId, "too many wait", LaunchFault.NOBODY))
    val program = Commands.program(command, number) ?: setup.programs[number % setup.programs.size]
    if (launch.spec.readiness.isReported) scope.launch { tellReady(launch, number) }
    try {
      machines[lease.nodeId].launch(id, program)
      post(Started(lease.containerId))
    } catch (failed: IOException) {
      post(LaunchFailed(lease.containerId, failed.message.orEmpty()))
    }
  }

  /** Most programs are ready some time after they have begun, some take it back for a while, and some never are. */
  private suspend fun tellReady(
    launch: Launch,
    number: Int,
  ) {
    if (number % 6 == 5) return
    delay(READY_STEP_MILLIS * (number % 7))
    tell(ReportReady(checkNotNull(application.container(launch.key)).ref, isReady = true))
    if (number % 3 != 0) return
    delay(READY_STEP_MILLIS * 9)
    application.container(launch.key)?.let { tell(ReportReady(it.ref, isReady = false)) }
    delay(READY_STEP_MILLIS * 5)
    application.container(launch.key)?.let { tell(ReportReady(it.ref, isReady = true)) }
  }

  private fun tell(report: ReportReady) {
    inbox.trySend(
      Message(report) { answer ->
        val refused = answer.exceptionOrNull() as AmException? ?: return@Message
        if (!application.whyRefused(report, refused.reason)) throw AssertionError("$report is refused: $refused")
      },
    )
  }

  private suspend fun stop(lease: Lease) {
    try {
      machines[lease.nodeId].stop(ContainerId.fromString(lease.containerId))
    } catch (_: IOException) {
      release(lease.containerId)
    }
  }

  private fun release(containerId: String) {
    session.release(containerId)
    allocator.wake()
  }

  private suspend fun runDriver(program: Program) {
    delay(program.seconds * 1_000L)
    post(DriverEnded(program.exitStatus, ""))
  }

  private suspend fun stopDriver() {
    delay(DRIVER_STOP_MILLIS)
    if (driver?.isActive != true) return
    driver?.cancel()
    post(DriverEnded(TERMINATED, ""))
  }

  // Clients.

  private fun add(step: Add) {
    val name = setup.services.keys.elementAt(step.service % setup.services.size)
    val requestId = if (step.answerIsLost) "added-${++adds}" else ""
    clients.request(AddContainers(name, step.count, SIZES[step.size % SIZES.size], emptyMap(), requestId), step.answerIsLost)
  }

  private fun stopContainer(number: Int) {
    val ids = application.containers.mapNotNull { it.lease?.containerId }.toList()
    if (ids.isNotEmpty()) clients.request(StopContainers(listOf(ids[number % ids.size]), emptyList()))
  }

  private fun stopRank(number: Int) {
    val places =
      application.containers
        .map { it.key.place }
        .distinct()
        .toList()
    if (places.isNotEmpty()) clients.request(StopContainers(emptyList(), listOf<PlaceKey>(places[number % places.size])))
  }

  private fun send(request: Command<*>): Result<Decision<*>> {
    var answer: Result<Decision<*>>? = null
    inbox.trySend(Message(request) { answer = it })
    scheduler.runCurrent()
    while (answer == null && failure == null && scheduler.currentTime < stalledUntil + STALL_STEP_MILLIS) {
      scheduler.advanceTimeBy(STALL_STEP_MILLIS)
      scheduler.runCurrent()
    }
    rethrow()
    return checkNotNull(answer) { "no answer to $request" }
  }

  // Faults.

  private fun silence(
    millis: Long,
    isRestart: Boolean,
  ) {
    yarn.isDown = true
    pass(millis)
    if (isRestart) yarn.restart()
    yarn.isDown = false
  }

  private fun pickLease(number: Int): ModelLease? = yarn.live().let { if (it.isEmpty()) null else it[number % it.size] }

  companion object {
    private val threads = ManagementFactory.getThreadMXBean()

    /** The service's own; one that is rounded up; one for large nodes only. */
    val SIZES = listOf(null, Resource(300, 1), Resource(4_096, 2))

    private const val BEAT_MILLIS = 100L
    private const val RETRY_MILLIS = 1_000L
    private const val READY_STEP_MILLIS = 900L
    private const val DRIVER_STOP_MILLIS = 300L
    private const val TERMINATED = 143

    /** Longer than YARN's client takes to tell anew what rests on a guess, a call to a dead node takes, and a failed heartbeat is waited for. */
    private const val SETTLE_MILLIS = 45_000L

    /** An RM that was started anew does not tell of nodes that have gone meanwhile: the next report does, a minute later at most. */
    private const val HEARD_MILLIS = 65_000L
    private const val SETTLE_STEP_MILLIS = 737L
    private const val SETTLE_TRIES = 40
    private const val STALL_STEP_MILLIS = 50L

    /** The longest until what was refused is tried again. */
    private const val REFUSAL_MILLIS = 310_000L
    private val LOWERED_MAXIMUM = Resource(512, 16)
  }
}

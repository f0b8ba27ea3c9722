package knit.am.sim

import knit.am.core.AddContainers
import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Command
import knit.am.core.Container
import knit.am.core.Decision
import knit.am.core.Due
import knit.am.core.Effect
import knit.am.core.EndApplication
import knit.am.core.FinalStatus
import knit.am.core.HISTORY
import knit.am.core.Input
import knit.am.core.Launch
import knit.am.core.LaunchFailed
import knit.am.core.Lease
import knit.am.core.NOW
import knit.am.core.Outcome
import knit.am.core.Phase
import knit.am.core.PlaceKey
import knit.am.core.Placement
import knit.am.core.Registered
import knit.am.core.Release
import knit.am.core.Resource
import knit.am.core.ServiceSpec
import knit.am.core.Shape
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
import java.time.Clock
import java.time.Duration
import java.time.Instant
import java.time.ZoneId
import java.time.ZoneOffset

/** What a container does if nobody stops it. */
internal data class Program(
  val exitStatus: Int,
  val seconds: Int,
)

/** Of what a [World] is made. */
internal data class Setup(
  val services: Map<String, ServiceSpec>,
  val nodes: List<NodeKind>,
  val countsVcores: Boolean,
  /** Containers run them in turn. */
  val programs: List<Program>,
  /** The service whose programs do not end by themselves, if there is one. */
  val endless: String? = null,
)

internal enum class NodeKind(
  val capacity: Resource,
  val partition: String = "",
) {
  SMALL(Resource(1_024, 4)),
  LARGE(Resource(6_144, 8)),

  /** Larger than all others, and not for requests without its label. */
  LABELLED(Resource(8_192, 16), "gpu"),
}

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
  private val clock =
    object : Clock() {
      override fun getZone(): ZoneId = ZoneOffset.UTC

      override fun withZone(zone: ZoneId): Clock = this

      override fun instant(): Instant = NOW.plusMillis(scheduler.currentTime)
    }

  val yarn = ModelYarn(setup.countsVcores)
  private val nodeManagers = LinkedHashMap<String, ModelNodeManager>()
  private val session = RmSession(lazy { yarn }, Leases(), dispatcher) { scheduler.currentTime }
  private val applications = MutableStateFlow(Application.start("application_1_0001", 1, HISTORY, setup.services, NOW))
  private val inbox = Channel<Message>(Channel.UNLIMITED)
  private val oracle = Oracle(applications.value, checkInterval)
  private val allocator = Allocator(session, applications, ::post, clock) { scheduler.currentTime }
  private val feed = ModelFeed(applications.value)
  private val watcher = Watcher(feed, scope, { application }) { scheduler.currentTime }
  private var stalledUntil = 0L
  private val underWay = HashMap<String, Job>()
  private val outcome = CompletableDeferred<Outcome>()
  private val unanswered = ArrayDeque<AddContainers>()
  private var requests = 0

  val application: Application get() = applications.value
  val seconds: Long get() = scheduler.currentTime / 1_000
  var turns = 0L
    private set

  init {
    setup.nodes.forEachIndexed { number, kind ->
      val node = ModelNode("n$number", kind.capacity, "/rack${number % 2}", kind.partition)
      nodeManagers[node.name] = ModelNodeManager(node)
      yarn.add(node)
    }
    yarn.onHeartbeat = { granted ->
      val missing = granted.filterNot { application.knows("$it") }
      if (missing.isNotEmpty()) throw AssertionError("a heartbeat is sent before these grants are worked in: $missing")
    }
    scope.launch { runLoop() }
    scope.launch { runMaster() }
    scope.launch { runNodes() }
    pass(1)
  }

  fun take(step: Step) {
    when (step) {
      is Pass -> pass(step.millis)
      is Add -> add(step)
      is StopContainer -> stopContainer(step.container)
      is StopRank -> stopRank(step.rank)
      is EndAll -> request(EndApplication(step.finalStatus, "asked for"))
      is RestartRm -> silence(step.downMillis, isRestart = true)
      is SilenceRm -> silence(step.downMillis, isRestart = false)
      is LoseAnswers -> yarn.answersToLose = step.count
      is LoseRequests -> yarn.requestsToLose = step.count
      is RefuseTokens -> yarn.tokensToRefuse = step.count
      is LoseCount -> yarn.loseCount()
      is LoseNode -> lose(step.node, step.tellsEnds)
      is LoseLargest -> loseLargest()
      is BringNodes -> bringNodes()
      is RestartNode -> pickNode(step.node).restart()
      is DisturbNode -> pickNode(step.node).disturb(step)
      is Preempt -> pickLease(step.container)?.let { yarn.end(it, ModelYarn.PREEMPTED, "Container preempted by scheduler") }
      is EndProgram -> endProgram(step)
      is EndUntold -> yarn.endsUntold = step.count
      is GrantUnasked -> repeat(step.count) { yarn.grantUnasked(isUnheardOf = it == 0) }
      is RestartOnRelease -> yarn.restartsOnRelease = true
      is LowerMaximum -> yarn.configuredMaximum = LOWERED_MAXIMUM
      is DisturbAll -> nodeManagers.values.forEach { it.disturb(DisturbNode(0, step.isSilent, step.millis)) }
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
    bringNodes()
    watcher.goOn()
    settle()
    if (allocator.waitingReasons().any { it.cause == WaitingCause.REFUSED }) {
      pass(REFUSAL_MILLIS)
      settle()
      assertTrue(allocator.waitingReasons().none { it.cause == WaitingCause.REFUSED }, "what was refused is not tried again")
    }
    val deadline = seconds + limitSeconds
    val isStuck =
      application.size == 0 || setup.endless != null || application.wanted().keys.any(::fitsNowhere) ||
        application.wantedShapes().keys.any { it.placement != Placement.ANYWHERE }
    if (!application.isDone && isStuck) {
      request(EndApplication(FinalStatus.SUCCEEDED, "nothing to do"))
    }
    while (application.phase != Phase.ENDED) {
      assertTrue(seconds < deadline, "it does not end within $limitSeconds s: $application\n${application.containers.joinToString("\n")}")
      pass(1_000)
    }
    pass(5_000)
    assertEquals(application.outcome?.diagnostics, yarn.finalStatus?.diagnostics, "what YARN was told")
    oracle.check(application)
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
      wrong = whatIsWrong()
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
    nodeManagers.values.forEach { it.calm() }
  }

  private fun whatIsWrong(): List<String> {
    if (application.isDone) return emptyList()
    val wrong = mutableListOf<String>()
    wrong += leaks()
    val asked = yarn.asked()
    val shapes = application.wantedShapes()
    for ((shape, count) in shapes) if (shape.placement != Placement.ANYWHERE) wrong += wrongWithPlaced(shape, count)
    val wanted = shapes.filterKeys { it.placement == Placement.ANYWHERE }.mapKeys { it.key.resource }
    (asked.keys - wanted.keys).forEach { wrong += "YARN is asked for ${asked[it]} of $it, and none is wanted" }
    for ((size, count) in wanted) wrong += wrongWith(size, count, asked[size] ?: 0)
    val inReach = nodesInReach()
    if (inReach.isNotEmpty() && inReach.all { it.name in yarn.excludedNames }) wrong += "every node is to be avoided"
    return wrong
  }

  private fun leaks(): List<String> {
    val untold = yarn.live().filter { !it.isTold }.map { "nobody is told of ${it.id}" }
    val leaked = yarn.live().filter { it.isTold && application.container("${it.id}")?.state?.isLeased != true }.map { "${it.id} is leaked" }
    val gone =
      application.containers
        .filter { container ->
          container.state.isLeased &&
            yarn.leases.values.none { "${it.id}" == container.lease?.containerId && !it.isOver }
        }.map { "$it is gone, and nobody has noticed" }
    return untold + leaked + gone
  }

  private fun wrongWith(
    size: Resource,
    wanted: Int,
    asked: Int,
  ): List<String> {
    val reasons = allocator.waitingReasons().filter { it.resource == size }
    val cause = reasons.map { it.cause }.distinct().singleOrNull()
    val roomy = nodesInReach().filter { yarn.hasRoom(it, size) && it.name !in yarn.excludedNames }.map { it.name }
    val isConfirmed =
      when (cause) {
        WaitingCause.TOO_LARGE -> fitsNowhere(size) && asked == if (fitsOutOfReach(size)) wanted else 0

        // The last refusal may be so long ago.
        WaitingCause.REFUSED -> asked == 0

        // Where no node at all is in reach, the queue may have a label of its own.
        WaitingCause.CAPACITY, WaitingCause.QUEUE_FULL -> (!fitsNowhere(size) || nodesInReach().isEmpty()) && asked == wanted

        else -> false
      }
    return listOfNotNull(
      "$wanted of $size are wanted, YARN is asked for $asked, and the reason is: $reasons".takeIf { !isConfirmed },
      "$wanted of $size wait, though there is room on $roomy".takeIf { roomy.isNotEmpty() && cause != WaitingCause.REFUSED },
      "reasons are for ${reasons.sumOf { it.count }} of $wanted".takeIf { reasons.sumOf { it.count } != wanted },
    )
  }

  private fun nodesInReach() = yarn.nodes.values.filter { it.isLive && yarn.isInReach(it) }

  private fun fitsNowhere(size: Resource) = nodesInReach().none { yarn.hasRoom(it, size, isEmpty = true) }

  private fun fitsOutOfReach(size: Resource) =
    yarn.nodes.values.any { it.isLive && !yarn.isInReach(it) && yarn.hasRoom(it, size, isEmpty = true) }

  fun pass(millis: Long) {
    scheduler.advanceTimeBy(millis)
    scheduler.runCurrent()
    rethrow()
    // Whoever has lost an answer asks again.
    generateSequence { unanswered.removeFirstOrNull() }.toList().forEach { request(it) }
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
    val decision =
      try {
        before.decide(message.input, now)
      } catch (refused: AmException) {
        message.answer(Result.failure(refused))
        return
      }
    turns++
    if (message.input is AddContainers) oracle.added(message.input, (decision.answer as List<*>).map { it as Container })
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
    val others = after.containersOf(launch.key.place.serviceName).count { it.state.isLeased && it.lease?.nodeId == launch.lease.nodeId }
    if (placement.spread == Spread.ANTI_AFFINITY && others > 1) throw AssertionError("$launch is one of $others on ${node.name}")
  }

  /** Of those that may not be anywhere: none waits while a node would do, and each has a reason. */
  private fun wrongWithPlaced(
    shape: Shape,
    wanted: Int,
  ): List<String> {
    val placement = shape.placement
    val reasons = allocator.waitingReasons().filter { it.resource == shape.resource }
    val held = placement.spreadOf?.let { application.leasedByNode(it) }.orEmpty()
    val free =
      yarn.nodes.values.filter { node ->
        node.isLive && node.partition == placement.label.orEmpty() && node.name !in yarn.excludedNames &&
          (!placement.isStrict || node.name in placement.nodes || node.rack in placement.racks) &&
          (placement.spread != Spread.ANTI_AFFINITY || "${node.name}:8041" !in held) && yarn.hasRoom(node, shape.resource)
      }
    return listOfNotNull(
      "$wanted of $shape wait, though ${free.map { it.name }} would do".takeIf { free.isNotEmpty() },
      "reasons of $shape are for ${reasons.sumOf { it.count }} of $wanted".takeIf { reasons.sumOf { it.count } != wanted },
    )
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
      is StartDriver, is StopDriver -> error("no world has a driver: $effect")
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
    underWay[containerId] =
      scope.launch {
        previous?.join()
        work()
      }
  }

  private suspend fun start(launch: Launch) {
    val lease = launch.lease
    val id = ContainerId.fromString(lease.containerId)
    val program = setup.programs[id.containerId.toInt() % setup.programs.size]
    try {
      nodeManagers
        .getValue(lease.nodeId.substringBefore(':'))
        .launch(id, if (launch.key.place.serviceName == setup.endless) ENDLESS else program)
      post(Started(lease.containerId))
    } catch (failed: IOException) {
      post(LaunchFailed(lease.containerId, failed.message.orEmpty()))
    }
  }

  private suspend fun stop(lease: Lease) {
    try {
      nodeManagers.getValue(lease.nodeId.substringBefore(':')).stop(ContainerId.fromString(lease.containerId))
    } catch (_: IOException) {
      release(lease.containerId)
    }
  }

  private fun release(containerId: String) {
    session.release(containerId)
    allocator.wake()
  }

  // Clients.

  private fun add(step: Add) {
    val name = setup.services.keys.elementAt(step.service % setup.services.size)
    val requestId = if (step.answerIsLost) "request-${++requests}" else ""
    val add = AddContainers(name, step.count, SIZES[step.size % SIZES.size], emptyMap(), requestId)
    if (request(add) && step.answerIsLost) unanswered += add
  }

  private fun stopContainer(number: Int) {
    val ids = application.containers.mapNotNull { it.lease?.containerId }.toList()
    if (ids.isNotEmpty()) request(StopContainers(listOf(ids[number % ids.size]), emptyList()))
  }

  private fun stopRank(number: Int) {
    val places =
      application.containers
        .map { it.key.place }
        .distinct()
        .toList()
    if (places.isNotEmpty()) request(StopContainers(emptyList(), listOf<PlaceKey>(places[number % places.size])))
  }

  /** Returns whether it was accepted. */
  private fun request(request: Command<*>): Boolean {
    var answer: Result<Decision<*>>? = null
    inbox.trySend(Message(request) { answer = it })
    scheduler.runCurrent()
    while (answer == null && scheduler.currentTime < stalledUntil + STALL_STEP_MILLIS) {
      scheduler.advanceTimeBy(STALL_STEP_MILLIS)
      scheduler.runCurrent()
    }
    rethrow()
    val refused = checkNotNull(answer) { "no answer to $request" }.exceptionOrNull()
    when (refused) {
      null -> {}

      is AmException.FailedPrecondition -> {
        assertTrue(application.phase != Phase.RUNNING)
      }

      is AmException.ResourceExhausted -> {
        assertTrue(request is AddContainers && request.isTooLarge, "$request: $refused")
      }

      is AmException.Unavailable -> {
        assertEquals(null, application.maxResource)
      }

      else -> {
        throw refused
      }
    }
    return refused == null
  }

  private val AddContainers.isTooLarge: Boolean
    get() = !(resource ?: setup.services.getValue(serviceName).resource).fitsIn(checkNotNull(application.maxResource))

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

  private fun pickNode(number: Int): ModelNodeManager = nodeManagers.values.elementAt(number % nodeManagers.size)

  private fun pickLease(number: Int): ModelLease? = yarn.live().let { if (it.isEmpty()) null else it[number % it.size] }

  private fun lose(
    number: Int,
    tellsEnds: Boolean,
  ) {
    val lost = pickNode(number)
    lost.isUp = false
    yarn.lose(lost.node, tellsEnds)
  }

  private fun loseLargest() {
    val largest = nodesInReach().maxOfOrNull { it.capacity.memoryMib } ?: return
    nodeManagers.values.forEachIndexed { number, it ->
      if (it.isUp &&
        it.node.capacity.memoryMib == largest
      ) {
        lose(number, tellsEnds = false)
      }
    }
  }

  private fun bringNodes() {
    for ((name, old) in nodeManagers.toMap()) {
      if (old.isUp) continue
      val node = ModelNode(name, old.node.capacity, old.node.rack, old.node.partition)
      nodeManagers[name] = ModelNodeManager(node)
      yarn.add(node)
    }
  }

  private fun endProgram(step: EndProgram) {
    val running = nodeManagers.values.flatMap { it.processes.values }
    if (running.isNotEmpty()) running[step.container % running.size].endsWith(step.exitStatus)
  }

  // Nodes.

  private suspend fun runNodes() {
    var tenth = 0
    while (true) {
      delay(100)
      tenth = (tenth + 1) % 10
      nodeManagers.values.toList().forEachIndexed { number, it -> if (number % 10 == tenth) it.beat() }
    }
  }

  private inner class Process(
    var endMillis: Long,
    var exitStatus: Int,
  ) {
    fun endsWith(status: Int) {
      endMillis = scheduler.currentTime
      exitStatus = status
    }
  }

  private inner class ModelNodeManager(
    val node: ModelNode,
  ) {
    val processes = LinkedHashMap<ContainerId, Process>()
    var isUp = true
    private var disturbance: DisturbNode? = null
    private var disturbedUntil = 0L

    private val isSilent get() = !isUp || (disturbance?.isSilent == true && scheduler.currentTime < disturbedUntil)

    fun disturb(step: DisturbNode) {
      disturbance = step
      disturbedUntil = scheduler.currentTime + step.millis
    }

    fun calm() {
      disturbedUntil = 0
    }

    /** It tells what has ended, hears what is to end, and is given new containers. */
    fun beat() {
      if (!isUp || yarn.isDown || !node.isLive) return
      for ((id, process) in processes.toMap()) {
        val lease = yarn.leases.getValue(id)
        if (process.endMillis <= scheduler.currentTime) yarn.end(lease, process.exitStatus, "Exception from container-launch.")
        if (!lease.isOver) continue
        processes -= id
        lease.isGone = true
      }
      yarn.schedule(node)
    }

    suspend fun launch(
      id: ContainerId,
      program: Program,
    ) {
      delay(CALL_MILLIS)
      val lease = yarn.leases.getValue(id)
      if (isUp && !(isDisturbed && !isSilent)) {
        lease.isLaunched = true
        processes[id] = Process(scheduler.currentTime + program.seconds * 1_000L, program.exitStatus)
      }
      answer(id)
    }

    suspend fun stop(id: ContainerId) {
      delay(CALL_MILLIS)
      if (isUp && !(isDisturbed && !isSilent)) {
        processes[id]?.endsWith(TERMINATED)
          ?: if (!isSilent) throw IOException("Container $id is not handled by this NodeManager") else Unit
      }
      answer(id)
    }

    private val isDisturbed get() = scheduler.currentTime < disturbedUntil

    private suspend fun answer(id: ContainerId) {
      if (isSilent) {
        delay(CALL_LIMIT_MILLIS)
        throw IOException("${node.name} did not answer for $id")
      }
      if (isDisturbed) throw IOException("${node.name} refuses $id")
    }

    fun restart() {
      if (isUp) processes.values.forEach { it.endsWith(LOST_PROCESS) }
    }
  }

  companion object {
    /** The service's own; one that is rounded up; one for large nodes only. */
    val SIZES = listOf(null, Resource(300, 1), Resource(4_096, 2))

    private val ENDLESS = Program(0, Int.MAX_VALUE)
    private const val CALL_MILLIS = 20L
    private const val CALL_LIMIT_MILLIS = 30_000L
    private const val RETRY_MILLIS = 1_000L
    private const val TERMINATED = 143
    private const val LOST_PROCESS = 154

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

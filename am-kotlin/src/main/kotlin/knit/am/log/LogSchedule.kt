package knit.am.log

import knit.am.ChangeFeed
import knit.am.core.Application
import knit.am.core.Change
import knit.am.core.Container
import knit.am.core.ContainerChanged
import knit.am.core.ContainerState
import knit.am.core.HeaderChanged
import knit.am.core.LeasePassed
import knit.am.core.Phase
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.selects.onTimeout
import kotlinx.coroutines.selects.select
import java.util.TreeSet

/**
 * Decides which files of one stream are read when.
 *
 * A file is a small record until it is its turn: in [waiting] by the time it is to be read next, then in the queue of its
 * node, of which few are read at a time. So files take turns, and a node that does not answer holds up its own ones only.
 * Everything here belongs to the coroutine of [run]; those that read report back over [returned].
 *
 * It lists the containers once, then follows [changes]; if it falls behind those, it lists again.
 */
internal class LogSchedule(
  private val query: LogQuery,
  private val applications: StateFlow<Application>,
  private val changes: ChangeFeed,
  private val source: LogSource,
  private val budget: ReadBudget,
  private val mine: StreamBudget,
  private val nowMillis: () -> Long,
  /** Null where it is not asked for. */
  private val master: MasterLog?,
  private val deliver: (LogItem, Boolean) -> Unit,
) {
  /** A container with files that have not ended. */
  private class Followed(
    val containerId: String,
    @Volatile var container: Container,
  ) {
    val files = ArrayList<FollowedFile>()
  }

  private class FollowedFile(
    val number: Long,
    val owner: Followed,
    val name: String,
    val reader: LogReader,
  ) : Comparable<FollowedFile> {
    var dueMillis = 0L
    var isWaiting = false

    /** Its container as it was when it was read last, and so whether it has changed since. */
    @Volatile var read: Container? = null

    /** A beginning that has to be told first. */
    var isUntold = false

    /** Whether something of it was sent since it waited last: then all others that are due go first. */
    @Volatile var wasServed = false
    var lastServed = 0L

    override fun compareTo(other: FollowedFile): Int = compareValuesBy(this, other, { it.dueMillis }, { it.lastServed }, { it.number })
  }

  private class Node {
    val ready = ArrayDeque<FollowedFile>()
    var reading = 0
  }

  private class Returned(
    val file: FollowedFile,
    val next: LogReader.Next,
  )

  private val followed = HashMap<String, Followed>()

  /** Whose files were begun, so that none is begun twice; without those the application has forgotten, which come no more. */
  private val seen = HashSet<String>()

  /** Of the containers that are asked for by name, those that have not ended. */
  private val unfinished = HashSet(query.containerIds)
  private var hasEnded = false
  private val waiting = TreeSet<FollowedFile>()
  private val nodes = HashMap<String, Node>()
  private var files = 0
  private var reading = 0

  /** How many files are due and not read. */
  @Volatile private var queued = 0

  /** Where the last look at [nodes] ended: they take turns too. */
  private var turnOf = 0
  private var numbers = 0L
  private var served = 0L

  /** The last turn that was taken note of; null before the first list. */
  @Volatile private var position: Long? = null

  private val returned = Channel<Returned>(Channel.UNLIMITED)
  private val looks = Channel<Unit>(Channel.CONFLATED)

  /** Ends when every file has ended and no more can come. */
  suspend fun run() =
    try {
      coroutineScope {
        var goesOn = look()
        val watching = launch { watch() }
        while (goesOn || files > 0) {
          startWhatIsDue()
          await()
          while (true) takeBack(returned.tryReceive().getOrNull() ?: break)
          if (looks.tryReceive().isSuccess) goesOn = look()
        }
        watching.cancel()
      }
    } finally {
      budget.removeFiles(files)
      followed.values.forEach { container -> container.files.forEach { it.reader.close() } }
    }

  /** More than some looks a second are of no use. */
  private suspend fun watch() {
    while (query.follow) {
      changes.await(position ?: return)
      looks.trySend(Unit)
      delay(LOOK_MILLIS)
    }
  }

  @OptIn(ExperimentalCoroutinesApi::class)
  private suspend fun await() {
    val limit = (waiting.firstOrNull()?.dueMillis ?: Long.MAX_VALUE) - nowMillis()
    if (limit <= 0) return
    // A time limit around it could take something from a channel and lose it.
    val first =
      select<Returned?> {
        returned.onReceive { it }
        looks.onReceive {
          looks.trySend(Unit)
          null
        }
        onTimeout(limit) { null }
      }
    first?.let(::takeBack)
  }

  /** Takes note of what has changed; returns whether more containers may come. */
  private fun look(): Boolean {
    val turns = position?.let(changes::since)
    if (turns == null) {
      list()
    } else {
      turns.forEach { turn -> turn.changes.forEach(::take) }
      turns.lastOrNull()?.let { position = it.sequence }
    }
    return when {
      !query.follow -> false
      hasEnded -> false
      query.containerIds.isEmpty() -> true
      else -> unfinished.isNotEmpty()
    }
  }

  /** At first, and when so much has happened since that it is no longer told. */
  private fun list() {
    val isFirst = position == null
    val application = applications.value
    position = application.sequence
    hasEnded = application.phase == Phase.ENDED
    application.containers.forEach { take(it, isFirst) }
    master?.let { take(it.container(application.header, query.fileNames), isFirst) }
    // What is not there any more has ended and been forgotten, which only attempts that failed are.
    val isForgotten = { containerId: String -> containerId != master?.containerId && application.container(containerId) == null }
    unfinished.removeAll(isForgotten)
    seen.removeAll(isForgotten)
    followed.values.filter { isForgotten(it.containerId) }.forEach { changed(it, it.container.copy(state = ContainerState.FAILED)) }
  }

  private fun take(change: Change) {
    when (change) {
      is ContainerChanged -> {
        take(change.container, isFirst = false)
      }

      is LeasePassed -> {
        seen -= change.lease.containerId
      }

      is HeaderChanged -> {
        hasEnded = change.header.phase == Phase.ENDED
        master?.let { take(it.container(change.header, query.fileNames), isFirst = false) }
      }

      else -> {}
    }
  }

  /** How many containers are remembered. */
  internal val remembered: Int get() = seen.size

  /** @param isFirst whether it was there before the stream was: what was may be asked for its last lines only */
  private fun take(
    container: Container,
    isFirst: Boolean,
  ) {
    val containerId = container.lease?.containerId ?: return
    if (container.state.isFinal) unfinished -= containerId
    if (query.containerIds.isNotEmpty() && containerId !in query.containerIds) return
    if (query.serviceNames.isNotEmpty() && container.key.place.serviceName !in query.serviceNames) return
    if (seen.add(containerId)) begin(containerId, container, isFirst)
    followed[containerId]?.let { changed(it, container) }
  }

  private fun changed(
    known: Followed,
    container: Container,
  ) {
    if (known.container === container) return
    known.container = container
    known.files.forEach { if (it.isWaiting) wait(it, 0) }
  }

  private fun begin(
    containerId: String,
    container: Container,
    isFirst: Boolean,
  ) {
    budget.addFiles(query.fileNames.size)
    files += query.fileNames.size
    val known = Followed(containerId, container)
    followed[containerId] = known
    val startsLater = !isFirst || container.startTime == null
    query.fileNames.forEach { fileName ->
      val offset = query.positions[containerId to fileName]
      val start =
        when {
          offset != null -> LogStart.Offset(offset)
          query.tailLines != null && !startsLater -> LogStart.TailLines(query.tailLines)
          else -> LogStart.Offset(0)
        }
      val file = FollowedFile(numbers++, known, fileName, source.reader(container, fileName, start, query.follow))
      // The last lines' place is told by who finds it.
      file.isUntold = query.tailLines != null && offset == null && startsLater
      known.files += file
      wait(file, 0)
    }
  }

  private fun wait(
    file: FollowedFile,
    millis: Long,
  ) {
    if (file.isWaiting) waiting.remove(file)
    if (file.wasServed) file.lastServed = ++served
    file.wasServed = false
    file.dueMillis = if (millis == Long.MAX_VALUE) millis else nowMillis() + millis
    file.isWaiting = waiting.add(file)
  }

  private fun CoroutineScope.startWhatIsDue() {
    val now = nowMillis()
    startWhereItIsTheirTurn()
    while (waiting.isNotEmpty() && waiting.first().dueMillis <= now) {
      val file = waiting.pollFirst() ?: break
      file.isWaiting = false
      enqueue(file)
    }
  }

  private fun CoroutineScope.startWhereItIsTheirTurn() {
    val queues = nodes.values.filter { it.ready.isNotEmpty() }
    if (queues.isEmpty()) return
    turnOf = (turnOf + 1) % queues.size
    for (index in queues.indices) startReading(queues[(index + turnOf) % queues.size])
  }

  private fun CoroutineScope.enqueue(file: FollowedFile) {
    val node = nodes.getOrPut(file.node()) { Node() }
    node.ready.addLast(file)
    queued++
    startReading(node)
  }

  private fun CoroutineScope.startReading(node: Node) {
    while (reading < MAX_READING) {
      val next = node.ready.firstOrNull() ?: return
      if (node.reading >= source.readsAtOnce(next.owner.container)) return
      val file = node.ready.removeFirst()
      queued--
      node.reading++
      reading++
      launch { returned.send(Returned(file, read(file))) }
    }
  }

  private suspend fun read(file: FollowedFile): LogReader.Next {
    // Asked before the read: what a container wrote before its end is then there to be read.
    val container = file.owner.container
    file.read = container
    if (query.follow && container.startTime == null && !container.state.isFinal) return LogReader.Next.Later(Long.MAX_VALUE)
    val turn =
      ReadTurn(budget, mine, { queued > 0 }) { piece, hasChunk ->
        file.wasServed = true
        deliver(LogItem(container, file.name, piece), hasChunk)
      }
    turn.awaitDemand()
    if (file.isUntold) {
      deliver(LogItem(container, file.name, LogPiece.Begin(0)), false)
      file.isUntold = false
    }
    return file.reader.read(container, turn)
  }

  private fun takeBack(result: Returned) {
    val file = result.file
    val address = file.node()
    reading--
    nodes[address]?.let { node ->
      node.reading--
      if (node.reading == 0 && node.ready.isEmpty()) nodes.remove(address)
    }
    when (val next = result.next) {
      LogReader.Next.Ended -> end(file)
      LogReader.Next.Soon -> wait(file, 0)
      is LogReader.Next.Later -> wait(file, if (file.owner.container === file.read) next.millis else 0)
    }
  }

  private fun end(file: FollowedFile) {
    file.reader.close()
    files--
    budget.removeFiles(1)
    file.owner.files.remove(file)
    if (file.owner.files.isEmpty()) followed.remove(file.owner.containerId)
  }

  private fun FollowedFile.node(): String =
    owner.container.lease
      ?.nodeHttpAddress
      .orEmpty()

  internal companion object {
    const val LOOK_MILLIS = 20L

    /** Most of which wait for their nodes: [StreamBudget] has what is read. */
    const val MAX_READING = 256
  }
}

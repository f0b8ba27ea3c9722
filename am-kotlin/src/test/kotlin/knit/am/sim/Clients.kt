package knit.am.sim

import knit.am.core.AddContainers
import knit.am.core.AddServices
import knit.am.core.AllocationPolicy
import knit.am.core.AmException
import knit.am.core.Amount
import knit.am.core.Application
import knit.am.core.Caller
import knit.am.core.Command
import knit.am.core.Commit
import knit.am.core.Container
import knit.am.core.Decision
import knit.am.core.EndApplication
import knit.am.core.FailurePolicy
import knit.am.core.FinalStatus
import knit.am.core.GrantLease
import knit.am.core.KeepLease
import knit.am.core.Named
import knit.am.core.RemoveServices
import knit.am.core.ReportProgress
import knit.am.core.Resource
import knit.am.core.RestartContainers
import knit.am.core.Restarted
import knit.am.core.RevokeLease
import knit.am.core.Role
import knit.am.core.ScaleDownOrder
import knit.am.core.ScaleService
import knit.am.core.Scaled
import knit.am.core.ServiceSpec
import knit.am.core.ServicesChanged
import knit.am.core.StopContainers
import knit.am.core.UpdateAction
import knit.am.core.UpdateService
import knit.am.core.isAlive
import knit.am.core.kv.Bytes
import knit.am.core.kv.Comparison
import knit.am.core.kv.KeyRange
import knit.am.core.kv.Operation
import knit.am.core.kv.Ownership
import knit.am.core.kv.Transaction
import knit.am.core.regularSlots
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import java.time.Duration
import java.time.Instant
import kotlin.random.Random

/**
 * Clients of an application: they ask for all that can be asked for, some of it twice, and know what they were answered.
 *
 * @param send hands a command over and waits for the answer
 */
internal class Clients(
  private val send: (Command<*>) -> Result<Decision<*>>,
  private val application: () -> Application,
  private val now: () -> Instant,
  private val setup: Setup,
) {
  private class Asked(
    val command: Command<*>,
    val answer: Any,
    val time: Instant,
  )

  private val answered = ArrayList<Asked>()
  private val unanswered = ArrayDeque<Asked>()
  private var requests = 0
  private var services = 0

  /** Something of this kind; whoever has lost the answer asks again later. */
  fun ask(step: Ask) {
    val random = Random(step.seed)
    if (step.kind == AskKind.AGAIN) {
      if (answered.isNotEmpty()) repeat(answered.random(random))
    } else {
      random.command(step.kind)?.let { request(it, step.answerIsLost) }
    }
  }

  /** Refused only for a reason that is true; [answerIsLost] where it is to be repeated, if it can be. */
  fun request(
    command: Command<*>,
    answerIsLost: Boolean = false,
  ) {
    val before = application()
    val decision =
      send(command).getOrElse {
        checkRefusal(command, it)
        return
      }
    // Who has changed nothing is asked anew.
    if (command.requestId.isEmpty() || decision.changes == null) return
    check(command, before, decision)
    val asked = Asked(command, decision.answer, now())
    if (answered.size < MAX_ANSWERED) answered += asked
    if (answerIsLost) unanswered += asked
  }

  /** Whoever has lost an answer asks again. */
  fun repeatUnanswered() = generateSequence { unanswered.removeFirstOrNull() }.toList().forEach(::repeat)

  /** It is answered as before, and done no second time. */
  private fun repeat(asked: Asked) {
    val decision =
      send(asked.command).getOrElse {
        val isTooOld = it is AmException.OutOfRange && now() > asked.time + ANSWERS_LAST
        assertTrue(isTooOld, "${asked.command} is repeated after ${Duration.between(asked.time, now())}, and refused: $it")
        return
      }
    assertEquals(null, decision.changes, "${asked.command} is done a second time")
    assertEquals(emptyList<Any>(), decision.effects, "${asked.command} has effects a second time")
    assertEquals(told(asked.answer), told(decision.answer), "the answer to ${asked.command}, repeated")
  }

  /** What of an answer stays the same: as for containers and services, which these are. */
  private fun told(answer: Any): Any {
    fun names(containers: List<Container>) = containers.map { it.ref }.filter { application().container(it) != null }
    return when (answer) {
      is Scaled -> {
        listOf(answer.service.name, answer.sequence, names(answer.added), names(answer.stopped))
      }

      is Restarted -> {
        listOf(answer.sequence, names(answer.containers))
      }

      is ServicesChanged -> {
        listOf(answer.sequence, answer.services.map { it.name })
      }

      is List<*> -> {
        names(answer.map { it as Container })
      }

      else -> {
        answer
      }
    }
  }

  /** What was answered is what was asked for. */
  private fun check(
    command: Command<*>,
    before: Application,
    decision: Decision<*>,
  ) {
    when (command) {
      is AddContainers -> {
        val added = (decision.answer as List<*>).map { it as Container }
        assertEquals(command.count, added.size)
        assertTrue(added.all { it.environment == command.environment && it.key.attemptNumber == 1 }, "$command: $added")
        assertTrue(command.resource == null || added.all { it.resource == command.resource }, "$command: $added")
      }

      is ScaleService -> {
        val scaled = decision.answer as Scaled
        val isFewer = scaled.service.target < before.services.getValue(command.serviceName).target
        assertTrue(isFewer || scaled.stopped.isEmpty(), "$command stops ${scaled.stopped}")
        if (isFewer) {
          val retired = command.victims.mapNotNull { decision.application.container(it) }.map { decision.application.slot(it.key.place) }
          assertTrue(retired.all { it?.isRetired == true }, "$command, and there are still: $retired")
        }
      }

      else -> {}
    }
  }

  private fun Random.command(kind: AskKind): Command<*>? {
    val application = application()
    val names = application.serviceNames - setup.untouched
    val requestId = if (nextInt(10) < 7) "request-${++requests}" else ""
    if (kind == AskKind.ADD_SERVICES) return addServices(requestId)
    if (kind == AskKind.END) return EndApplication(pick(*FinalStatus.values()), "asked for")
    if (kind == AskKind.PROGRESS) return ReportProgress(pick(null, nextDouble()))
    if (names.isEmpty()) return null
    // Seldom one that was removed, which nothing can be done with.
    val name = names.filter { !application.services.getValue(it).isRemoved || nextInt(8) == 0 }.ifEmpty { names }.random(this)
    return when (kind) {
      AskKind.ADD -> {
        val environment = pick(emptyMap(), mapOf("PART" to "${nextInt(3)}"))
        AddContainers(name, 1 + nextInt(4), pick(null, null, Resource(300, 1), Resource(4_096, 2)), environment, requestId)
      }

      AskKind.SCALE -> {
        scale(name, requestId)
      }

      AskKind.STOP -> {
        named(name)?.let { StopContainers(it.containerIds, it.places, it.containers, it.serviceNames, requestId) }
      }

      AskKind.RESTART -> {
        named(name)?.let { RestartContainers(it, requestId) }
      }

      AskKind.REMOVE_SERVICES -> {
        RemoveServices(listOf(name, names.random(this)).take(1 + nextInt(2)), requestId)
      }

      AskKind.UPDATE -> {
        UpdateService(name, pass(name), requestId = requestId)
      }

      AskKind.STEER_UPDATE -> {
        steer(requestId)
      }

      AskKind.WRITE_KEYS -> {
        writeKeys(requestId)
      }

      AskKind.LEASE -> {
        lease(requestId)
      }

      else -> {
        null
      }
    }
  }

  private fun Random.addServices(requestId: String): Command<*>? {
    val application = application()
    if (application.services.size >= setup.maxServices) return null
    val first = "extra-${services++}"
    val added = mutableMapOf(first to serviceSpec(application.serviceNames - setup.untouched, mostInstances = 3))
    if (nextInt(3) == 0) added["extra-${services++}"] = serviceSpec(listOf(first), mostInstances = 3)
    return AddServices(if (setup.mayFail) added else added.mapValues { it.value.harmless() }, requestId)
  }

  private fun ServiceSpec.harmless() =
    copy(failurePolicy = FailurePolicy.IGNORE, allocationPolicy = AllocationPolicy.GO_ON, allocationLimit = null)

  private fun Random.scale(
    name: String,
    requestId: String,
  ): ScaleService {
    val target = application().services.getValue(name).target
    val amount = if (nextBoolean()) Amount.Count(nextInt(8)) else Amount.Delta(nextInt(-4, 4))
    val wanted = if (amount is Amount.Count) amount.ranks else (target + (amount as Amount.Delta).ranks).coerceAtLeast(0)
    val going = (target - wanted).coerceAtLeast(0)
    val named = if (nextBoolean()) 0 else nextInt(going + 1)
    val victims =
      if (named ==
        0
      ) {
        emptyList()
      } else {
        application()
          .regularSlots(name)
          .map { it.latest.ref }
          .toList()
          .shuffled(this)
          .take(named)
      }
    return ScaleService(name, amount, pick(null, *ScaleDownOrder.values()), victims, requestId)
  }

  private fun Random.named(name: String): Named? {
    val containers = application().containersOf(name).toList()
    if (containers.isEmpty()) return null
    val one = containers.random(this)
    return when (nextInt(6)) {
      0 -> Named(serviceNames = listOf(name))
      1, 2 -> Named(places = listOf(one.key.place))
      3 -> one.lease?.let { Named(containerIds = listOf(it.containerId)) }
      4 -> Named(places = listOf(one.key.place), containers = containers.shuffled(this).take(2).map { it.ref })
      else -> Named(containers = listOf(one.ref))
    }
  }

  private fun Random.pass(name: String) =
    UpdateAction.Pass(changed(application().spec(name)), keepsEnvironment = nextBoolean(), replacesUpdate = nextInt(4) == 0)

  private fun Random.steer(requestId: String): Command<*> {
    val updated =
      application()
        .services.values
        .filter { it.update != null }
        .map { it.name }
        .sorted()
    val name = updated.ifEmpty { application().serviceNames - setup.untouched }.random(this)
    return UpdateService(name, pick(UpdateAction.Pause, UpdateAction.GoOn, UpdateAction.RollBack), requestId = requestId)
  }

  private fun Random.writeKeys(requestId: String): Command<*> {
    val application = application()
    val key = Bytes.of("key-${nextInt(12)}")
    val alive =
      application.containers
        .filter { it.isAlive }
        .map { it.ref }
        .toList()
    val owner = if (alive.isEmpty() || nextBoolean()) null else Ownership(pick(alive.random(this), null))
    val leaseId =
      if (application.keyLeases.isEmpty() || nextBoolean()) {
        null
      } else {
        application.keyLeases.keys
          .sorted()
          .random(this)
      }
    val put = Operation.Put(key, Bytes.of("${nextInt(100)}"), owner, leaseId, returnsPrevious = nextBoolean())
    val delete = Operation.Delete(pick(KeyRange.only(key), KeyRange(Bytes.of("key-1"), Bytes.of("key-2"))), returnsPrevious = true)
    val exists = Comparison(key, Comparison.Operator.EQUAL, Comparison.Exists(nextBoolean()))
    val transaction =
      when (nextInt(4)) {
        0 -> Transaction(emptyList(), listOf(delete))
        1 -> Transaction(listOf(exists), listOf(put), listOf(delete, Operation.Range(KeyRange.ALL, limit = 3)))
        else -> Transaction(emptyList(), listOf(put))
      }
    return Commit(transaction, OPERATOR, requestId)
  }

  private fun Random.lease(requestId: String): Command<*> {
    val leases = application().keyLeases.keys.sorted()
    return when (if (leases.isEmpty()) 0 else nextInt(3)) {
      0 -> GrantLease(seconds(1 + nextInt(60)), OPERATOR, requestId)
      1 -> KeepLease(leases.random(this), OPERATOR)
      else -> RevokeLease(leases.random(this), OPERATOR)
    }
  }

  private fun checkRefusal(
    command: Command<*>,
    refused: Throwable,
  ) {
    if (refused !is AmException) throw refused
    val why = application().whyRefused(command, refused.reason)
    assertTrue(why, "$command is refused, and that is not so: ${refused.reason} $refused")
  }

  private companion object {
    const val MAX_ANSWERED = 200
    val ANSWERS_LAST: Duration = Duration.ofHours(1)
    val OPERATOR = Caller(Role.OPERATOR)
  }
}

private val Command<*>.requestId: String
  get() =
    when (this) {
      is AddContainers -> requestId
      is StopContainers -> requestId
      is RestartContainers -> requestId
      is ScaleService -> requestId
      is AddServices -> requestId
      is RemoveServices -> requestId
      is UpdateService -> requestId
      is Commit -> requestId
      is GrantLease -> requestId
      else -> ""
    }

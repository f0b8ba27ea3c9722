package knit.am.sim

import knit.am.core.AllocationPolicy
import knit.am.core.BackOff
import knit.am.core.Dependency
import knit.am.core.DependencyCondition
import knit.am.core.ExitReason
import knit.am.core.FailurePolicy
import knit.am.core.LARGE
import knit.am.core.Readiness
import knit.am.core.Resource
import knit.am.core.RestartBudget
import knit.am.core.RestartScope
import knit.am.core.SMALL
import knit.am.core.ScaleDownOrder
import knit.am.core.ServiceSpec
import knit.am.core.UpdateFailurePolicy
import knit.am.core.UpdatePolicy
import knit.am.core.service
import java.time.Duration
import kotlin.random.Random

/** What a container does if nobody stops it. */
internal data class Program(
  val exitStatus: Int,
  val seconds: Int,
)

/** What the commands of services do; any other one runs the programs of its [Setup] in turn. */
internal object Commands {
  /** Runs until it is stopped. */
  const val SERVE = "serve"
  const val CRASH = "crash"

  /** Every second one is not launched, for nobody's fault. */
  const val MOODY = "moody"

  /** No node can launch it. */
  const val IMPOSSIBLE = "impossible"

  fun program(
    command: String,
    number: Int,
  ): Program? =
    when (command) {
      SERVE -> Program(0, Int.MAX_VALUE / 1_000)
      CRASH -> Program(1, number % 4)
      else -> null
    }
}

internal fun <T> Random.pick(vararg choices: T): T = choices[nextInt(choices.size)]

internal fun seconds(seconds: Int): Duration = Duration.ofSeconds(seconds.toLong())

/** A service with policies of all kinds, which may depend on one of [others]. */
internal fun Random.serviceSpec(
  others: List<String>,
  mostInstances: Int = 5,
): ServiceSpec =
  service(
    instances = nextInt(mostInstances + 1),
    resource = pick(SMALL, SMALL, Resource(300, 1), LARGE),
    failurePolicy = pick(FailurePolicy.FINISH_OTHERS, FailurePolicy.IGNORE, FailurePolicy.IGNORE, failurePolicy()),
    depends =
      if (others.isEmpty() ||
        nextInt(3) > 0
      ) {
        emptyList()
      } else {
        listOf(Dependency(others.random(this), pick(*DependencyCondition.values())))
      },
    restartBudgets = budgets(),
    backOff = pick(BackOff(), BackOff(first = Duration.ZERO), BackOff(seconds(2), 3.0, seconds(30), seconds(40))),
    readiness =
      pick(
        Readiness(),
        Readiness(minReady = seconds(3)),
        Readiness(isReported = true),
        Readiness(isReported = true, minReady = seconds(2), limit = seconds(20)),
      ),
  ).copy(
    command = pick(Commands.SERVE, Commands.SERVE, Commands.SERVE, "true", Commands.MOODY, Commands.CRASH),
    stopGrace = pick(null, seconds(5)),
    startsTogether = nextInt(4) == 0,
    allocationLimit = pick(null, null, seconds(20), seconds(120)),
    allocationPolicy = pick(AllocationPolicy.GO_ON, AllocationPolicy.KEEP_WAITING, allocationPolicy()),
    updatePolicy = updatePolicy(),
    scaleDownOrder = pick(*ScaleDownOrder.values()),
  )

/** Seldom one that ends the application, after which little happens. */
private fun Random.failurePolicy() = if (nextInt(4) == 0) FailurePolicy.FAIL_APPLICATION else FailurePolicy.FINISH_OTHERS

private fun Random.allocationPolicy() = if (nextInt(4) == 0) AllocationPolicy.FAIL else AllocationPolicy.KEEP_WAITING

internal fun Random.budgets(): List<RestartBudget> =
  listOf(
    RestartBudget(setOf(ExitReason.PREEMPTED), pick(0, 2, null), RestartScope.SERVICE),
    RestartBudget(RestartBudget.PROGRAM_REASONS, pick(0, 1, 3), pick(*RestartScope.values()), pick(null, seconds(60))),
    RestartBudget(RestartBudget.CLUSTER_REASONS, pick(1, 3, null), pick(*RestartScope.values())),
  ).shuffled(this).take(2 + nextInt(2))

internal fun Random.updatePolicy(): UpdatePolicy {
  val surge = nextInt(3)
  return UpdatePolicy(
    maxSurge = surge,
    maxUnavailable = if (surge == 0) 1 + nextInt(2) else nextInt(2),
    failures = nextInt(1, 3),
    readyLimit = pick(seconds(30), seconds(90), Duration.ofMinutes(10)),
    failurePolicy = pick(*UpdateFailurePolicy.values()),
  )
}

/** Another specification that the service may pass to. */
internal fun Random.changed(spec: ServiceSpec): ServiceSpec =
  when (nextInt(8)) {
    0 -> spec.copy(command = Commands.CRASH)
    1 -> spec.copy(command = Commands.IMPOSSIBLE)
    2 -> spec.copy(resource = pick(SMALL, Resource(300, 1), LARGE))
    3 -> spec.copy(environment = mapOf("RELEASE" to "${nextInt(100)}"))
    4 -> spec.copy(restartBudgets = budgets(), environment = mapOf("RELEASE" to "${nextInt(100)}"))
    5 -> spec.copy(restartBudgets = budgets(), readiness = Readiness(isReported = nextBoolean()), updatePolicy = updatePolicy())
    6 -> spec.copy(allocationLimit = pick(null, seconds(20)), scaleDownOrder = pick(*ScaleDownOrder.values()))
    else -> spec.copy(command = Commands.SERVE, environment = mapOf("RELEASE" to "${nextInt(100)}"), updatePolicy = updatePolicy())
  }

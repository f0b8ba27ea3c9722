package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import java.time.Duration
import java.time.Instant

val NOW: Instant = Instant.parse("2026-01-02T03:04:05Z")

val SMALL = Resource(memoryMib = 256, vcores = 1)
val LARGE = Resource(memoryMib = 4096, vcores = 2)
val MOST = Resource(memoryMib = 8192, vcores = 4)

fun service(
  instances: Int = 1,
  resource: Resource = SMALL,
  maxRestarts: Int = 0,
  maxReplacements: Int = 0,
  failurePolicy: FailurePolicy = FailurePolicy.FAIL_APPLICATION,
  environment: Map<String, String> = emptyMap(),
  depends: List<Dependency> = emptyList(),
  restartBudgets: List<RestartBudget> = budgets(maxRestarts, maxReplacements),
  /** None, so that what follows a failure is there at once. */
  backOff: BackOff = BackOff(first = Duration.ZERO),
  readiness: Readiness = Readiness(),
) = ServiceSpec(
  command = "true",
  instances = instances,
  resource = resource,
  environment = environment,
  failurePolicy = failurePolicy,
  depends = depends,
  restartBudgets = restartBudgets,
  backOff = backOff,
  readiness = readiness,
)

/** Of each rank, one for what the program does and one for what YARN does to it. */
fun budgets(
  maxRestarts: Int,
  maxReplacements: Int,
) = listOf(
  RestartBudget(RestartBudget.PROGRAM_REASONS, maxRestarts),
  RestartBudget(RestartBudget.CLUSTER_REASONS, maxReplacements),
)

const val HISTORY = "history-1"

fun start(vararg services: Pair<String, ServiceSpec>): Application = start(mapOf(*services))

internal fun start(
  services: Map<String, ServiceSpec>,
  retention: Retention = Retention(),
): Application = Application.start("application_1_0001", 1, HISTORY, services, NOW).keeping(retention)

/** The same application, of which so much is kept. */
internal fun Application.keeping(retention: Retention) = Application.nothing(retention).with(beginning())

/** All that this is made of, as one turn. */
internal fun Application.beginning() = ChangeSet(sequence, NOW, asChanges().toList())

/** As equal as two applications can be: in every record, and in all that follows from them. */
internal fun Application.assertLike(other: Application) {
  assertEquals(other.asChanges().toList(), asChanges().toList())
  assertEquals(other.index, index)
  assertEquals(other.sequence, sequence)
}

/** Whether this is what a watcher knows of [other], who is not told that leases are kept. */
internal fun Application.assertToldOf(other: Application) {
  val leases = other.keyLeases.values.map { LeaseKept(it) }
  assertEquals(other.keyLeases.keys, keyLeases.keys)
  applying(leases, 0, sequence).assertLike(other)
}

/** An application of these services whose Application Master is registered. */
fun registered(vararg services: Pair<String, ServiceSpec>): Application = start(*services).after(Registered(MOST))

fun Application.after(vararg inputs: Input): Application =
  inputs.fold(this) { application, input -> application.decide(input, NOW).application }

/** The number in a container's identifier is all that tells it from others. */
fun id(number: Int) = "container_$number"

fun lease(
  number: Int,
  node: Int = 1,
  resource: Resource = SMALL,
) = Lease(id(number), "node$node:8041", "node$node:8042", resource)

fun granted(
  number: Int,
  node: Int = 1,
  resource: Resource = SMALL,
) = Granted(lease(number, node, resource), Shape(resource))

/** How many containers of each size YARN should be asked for, wherever they may be. */
fun Application.wanted(): Map<Resource, Int> =
  wantedShapes().entries.groupingBy { it.key.resource }.fold(0) { sum, (_, count) -> sum + count }

fun started(number: Int) = Started(id(number))

fun completed(
  number: Int,
  exitStatus: Int = 0,
  diagnostics: String = "",
) = Completed(id(number), exitStatus, diagnostics)

fun stopping(number: Int) = StopContainers(listOf(id(number)), emptyList())

fun adding(
  serviceName: String,
  count: Int,
  resource: Resource? = null,
  environment: Map<String, String> = emptyMap(),
  requestId: String = "",
) = AddContainers(serviceName, count, resource, environment, requestId)

fun key(
  serviceName: String,
  rank: Int,
  attemptNumber: Int = 1,
) = ContainerKey(PlaceKey(serviceName, rank), attemptNumber)

fun Application.stateOf(number: Int): ContainerState? = container(id(number))?.state

/** The states of a service's containers, in order. */
fun Application.states(serviceName: String = "worker"): List<ContainerState> = containersOf(serviceName).map { it.state }.toList()

package knit.am.sim

/** All machines of a [World], those that are away included. */
internal class ModelMachines(
  kinds: List<NodeKind>,
  private val yarn: ModelYarn,
  private val nowMillis: () -> Long,
) {
  private val managers = LinkedHashMap<String, ModelNodeManager>()
  private var tenth = 0

  init {
    kinds.forEachIndexed { number, kind -> add(ModelNode("n$number", kind.capacity, "/rack${number % 2}", kind.partition)) }
  }

  private fun add(node: ModelNode) {
    managers[node.name] = ModelNodeManager(node, yarn, nowMillis)
    yarn.add(node)
  }

  operator fun get(nodeId: String): ModelNodeManager = managers.getValue(nodeId.substringBefore(':'))

  fun pick(number: Int): ModelNodeManager = managers.values.elementAt(number % managers.size)

  fun calm() = managers.values.forEach { it.calm() }

  fun disturbAll(step: DisturbAll) = managers.values.forEach { it.disturb(DisturbNode(0, step.isSilent, step.millis)) }

  fun lose(
    lost: ModelNodeManager,
    tellsEnds: Boolean,
  ) {
    lost.isUp = false
    yarn.lose(lost.node, tellsEnds)
  }

  /** Those that hold the largest of what may be anywhere. */
  fun loseLargest() {
    val largest = yarn.nodesInReach().maxOfOrNull { it.capacity.memoryMib } ?: return
    managers.values.filter { it.isUp && it.node.capacity.memoryMib == largest }.forEach { lose(it, tellsEnds = false) }
  }

  /** Those that are away come back, empty. */
  fun bring() =
    managers.values
      .filterNot { it.isUp }
      .map { it.node }
      .forEach { add(ModelNode(it.name, it.capacity, it.rack, it.partition)) }

  fun endProgram(step: EndProgram) {
    val running = managers.values.flatMap { manager -> manager.processes.values.map { manager to it } }
    if (running.isNotEmpty()) running[step.container % running.size].let { (manager, process) -> manager.end(process, step.exitStatus) }
  }

  /** Every tenth of a second a tenth of the nodes says what is new. */
  fun beat() {
    tenth = (tenth + 1) % TENTHS
    managers.values.toList().forEachIndexed { number, it -> if (number % TENTHS == tenth) it.beat() }
  }

  private companion object {
    const val TENTHS = 10
  }
}

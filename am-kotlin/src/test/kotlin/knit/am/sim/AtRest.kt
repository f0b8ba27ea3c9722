package knit.am.sim

import knit.am.core.Application
import knit.am.core.ContainerState
import knit.am.core.Placement
import knit.am.core.Resource
import knit.am.core.Shape
import knit.am.core.Spread
import knit.am.core.WaitingCause
import knit.am.core.gangReason
import knit.am.yarn.Allocator

/** What must hold once nothing has been disturbed for a while: what is asked is what is wanted, nothing leaks, and who waits can say why. */
internal class AtRest(
  private val yarn: ModelYarn,
  private val allocator: Allocator,
) {
  fun whatIsWrong(application: Application): List<String> {
    if (application.isDone) return emptyList()
    val wrong = mutableListOf<String>()
    wrong += leaks(application)
    val asked = yarn.asked()
    val shapes = application.wantedShapes()
    for ((shape, count) in shapes) if (shape.placement != Placement.ANYWHERE) wrong += wrongWithPlaced(application, shape, count)
    val wanted = shapes.filterKeys { it.placement == Placement.ANYWHERE }.mapKeys { it.key.resource }
    (asked.keys - wanted.keys).forEach { wrong += "YARN is asked for ${asked[it]} of $it, and none is wanted" }
    for ((size, count) in wanted) wrong += wrongWith(size, count, asked[size] ?: 0)
    val inReach = yarn.nodesInReach()
    if (inReach.isNotEmpty() && inReach.all { it.name in yarn.excludedNames }) wrong += "every node is to be avoided"
    for (name in application.serviceNames) {
      val held = application.containersOf(name).count { it.state == ContainerState.HELD }
      if (held !=
        (application.gangReason(name)?.count ?: 0)
      ) {
        wrong += "$held of $name are held, and it says: ${application.gangReason(name)}"
      }
    }
    return wrong
  }

  private fun leaks(application: Application): List<String> {
    val untold = yarn.live().filter { !it.isTold }.map { "nobody is told of ${it.id}" }
    val leaked = yarn.live().filter { it.isTold && application.container("${it.id}")?.state?.isLeased != true }.map { "${it.id} is leaked" }
    val live = yarn.live().mapTo(HashSet()) { "${it.id}" }
    val gone =
      application.containers.filter { it.state.isLeased && it.lease?.containerId !in live }.map { "$it is gone, and nobody has noticed" }
    return untold + leaked + gone
  }

  private fun wrongWith(
    size: Resource,
    wanted: Int,
    asked: Int,
  ): List<String> {
    val reasons = allocator.waitingReasons().filter { it.resource == size }
    val cause = reasons.map { it.cause }.distinct().singleOrNull()
    val roomy = yarn.nodesInReach().filter { yarn.hasRoom(it, size) && it.name !in yarn.excludedNames }.map { it.name }
    val isConfirmed =
      when (cause) {
        WaitingCause.TOO_LARGE -> fitsNowhere(size) && asked == if (fitsOutOfReach(size)) wanted else 0

        // The last refusal may be so long ago.
        WaitingCause.REFUSED -> asked == 0

        // Where no node at all is in reach, the queue may have a label of its own.
        WaitingCause.CAPACITY, WaitingCause.QUEUE_FULL -> (!fitsNowhere(size) || yarn.nodesInReach().isEmpty()) && asked == wanted

        else -> false
      }
    return listOfNotNull(
      "$wanted of $size are wanted, YARN is asked for $asked, and the reason is: $reasons".takeIf { !isConfirmed },
      "$wanted of $size wait, though there is room on $roomy".takeIf { roomy.isNotEmpty() && cause != WaitingCause.REFUSED },
      "reasons are for ${reasons.sumOf { it.count }} of $wanted".takeIf { reasons.sumOf { it.count } != wanted },
    )
  }

  /** Of those that may not be anywhere: none waits while a node would do, and each has a reason. */
  private fun wrongWithPlaced(
    application: Application,
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
          (placement.spread != Spread.ANTI_AFFINITY || "${node.id}" !in held) && yarn.hasRoom(node, shape.resource)
      }
    return listOfNotNull(
      "$wanted of $shape wait, though ${free.map { it.name }} would do".takeIf { free.isNotEmpty() },
      "reasons of $shape are for ${reasons.sumOf { it.count }} of $wanted".takeIf { reasons.sumOf { it.count } != wanted },
    )
  }

  fun fitsNowhere(size: Resource) = yarn.nodesInReach().none { yarn.hasRoom(it, size, isEmpty = true) }

  private fun fitsOutOfReach(size: Resource) =
    yarn.nodes.values.any { it.isLive && !yarn.isInReach(it) && yarn.hasRoom(it, size, isEmpty = true) }
}

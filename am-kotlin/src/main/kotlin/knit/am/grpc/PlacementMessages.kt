package knit.am.grpc

import knit.am.core.Placement
import knit.am.core.Spread
import knit.v1.Placement as PlacementMessage
import knit.v1.Spread as SpreadMessage

// Where containers may be, as messages and as our own types.

internal fun PlacementMessage.toDomain() =
  Placement(
    label = nodeLabel.ifEmpty { null },
    nodes = nodeNamesList.toSet(),
    racks = rackNamesList.toSet(),
    isStrict = isStrict,
    spread = spread.toDomain(),
  )

internal fun Placement.toMessage(): PlacementMessage =
  PlacementMessage
    .newBuilder()
    .setNodeLabel(label.orEmpty())
    .addAllNodeNames(nodes)
    .addAllRackNames(racks)
    .setIsStrict(isStrict)
    .setSpread(spread.toMessage())
    .build()

private fun SpreadMessage.toDomain(): Spread =
  when (this) {
    SpreadMessage.SPREAD_EVENLY -> Spread.EVENLY
    SpreadMessage.SPREAD_ANTI_AFFINITY -> Spread.ANTI_AFFINITY
    else -> Spread.NONE
  }

private fun Spread.toMessage(): SpreadMessage =
  when (this) {
    Spread.NONE -> SpreadMessage.SPREAD_UNSPECIFIED
    Spread.EVENLY -> SpreadMessage.SPREAD_EVENLY
    Spread.ANTI_AFFINITY -> SpreadMessage.SPREAD_ANTI_AFFINITY
  }

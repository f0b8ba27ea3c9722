package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test

class ShapeTest {
  private fun placed(placement: Placement) = service(instances = 2).copy(placement = placement)

  private fun shapes(
    nodeLabel: String?,
    vararg services: Pair<String, ServiceSpec>,
  ) = Application.start("application_1_0001", 1, HISTORY, mapOf(*services), NOW, nodeLabel = nodeLabel).wantedShapes()

  @Test
  fun servicesOfOneSizeAndPlacementAreOneShape() {
    assertEquals(mapOf(Shape(SMALL) to 4), shapes(null, "a" to placed(Placement()), "b" to placed(Placement())))
    val gpu = Placement(label = "gpu")
    assertEquals(mapOf(Shape(SMALL) to 2, Shape(SMALL, gpu) to 2), shapes(null, "a" to placed(Placement()), "b" to placed(gpu)))
  }

  @Test
  fun theApplicationsLabelHoldsWhereAServiceSaysNothingOfPlaces() {
    val shapes =
      shapes(
        "gpu",
        "a" to placed(Placement()),
        "b" to placed(Placement(label = "fpga")),
        "c" to placed(Placement(nodes = setOf("n1"))),
      )
    assertEquals(setOf("gpu", "fpga", null), shapes.keys.mapTo(HashSet()) { it.placement.label })
  }

  @Test
  fun whatIsSpreadIsSpreadAmongItsOwnService() {
    val apart = Placement(spread = Spread.ANTI_AFFINITY)
    assertEquals(
      setOf("a", "b"),
      shapes(null, "a" to placed(apart), "b" to placed(apart)).keys.mapTo(HashSet()) { it.placement.spreadOf },
    )
  }

  @Test
  fun aGrantFindsAContainerOfItsShapeOnly() {
    val gpu = Shape(SMALL, Placement(label = "gpu"))
    val application = registered("a" to placed(Placement()), "b" to placed(gpu.placement))
    val granted = application.after(Granted(lease(1), gpu))
    assertEquals(
      "b",
      granted
        .container(id(1))
        ?.key
        ?.place
        ?.serviceName,
    )
    assertEquals(mapOf(Shape(SMALL) to 2, gpu to 1), granted.wantedShapes())
  }

  @Test
  fun leasesAreCountedByServiceAndNode() {
    val application =
      registered(
        "a" to service(instances = 3),
        "b" to service(),
      ).after(granted(1), granted(2), granted(3, 2), granted(4, 2))
    assertEquals(mapOf("node1:8041" to 2, "node2:8041" to 1), application.leasedByNode("a"))
    assertEquals(mapOf("node2:8041" to 1), application.leasedByNode("b"))
    assertEquals(emptyMap<String, Int>(), application.leasedByNode("c"))
  }

  @Test
  fun whatYarnDoesNotTakeIsRefusedWithASentence() {
    val table =
      listOf(
        Placement(label = "gpu", nodes = setOf("n")) to
          "placement has a node_label beside names of nodes or racks, which YARN does not take together",
        Placement(isStrict = true) to "placement is strict and names neither nodes nor racks",
        Placement(nodes = (1..51).mapTo(HashSet()) { "n$it" }) to "placement names 51 nodes, of at most 50; use a node label",
        Placement(racks = (1..51).mapTo(HashSet()) { "/r$it" }) to "placement names 51 racks, of at most 50; use a node label",
      )
    for ((placement, problem) in table) assertEquals("Service a cannot be run: $problem.", problemIn(mapOf("a" to placed(placement))))
    assertNull(problemIn(mapOf("a" to placed(Placement(nodes = setOf("n"), isStrict = true)))))
  }

  @Test
  fun whatYarnSaysOfWaitingStandsBesideWhatIsDecidedHere() {
    val full = WaitingReason("a", 2, SMALL, WaitingCause.QUEUE_FULL, "full", NOW)
    val application = registered("a" to service(instances = 2), "b" to service()).after(WaitingExplained(listOf(full)))
    assertEquals(
      listOf(full) to emptyList<WaitingReason>(),
      application.services.getValue("a").waits to application.services.getValue("b").waits,
    )
    assertEquals(application.sequence, application.after(WaitingExplained(listOf(full))).sequence, "nothing has changed")
    assertEquals(
      emptyList<WaitingReason>(),
      application
        .after(WaitingExplained(emptyList()))
        .services
        .getValue("a")
        .waits,
    )
  }
}

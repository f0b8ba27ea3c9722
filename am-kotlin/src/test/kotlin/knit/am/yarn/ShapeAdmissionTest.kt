package knit.am.yarn

import knit.am.core.LARGE
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.Shape
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class ShapeAdmissionTest {
  private var now = 0L
  private val admission = ShapeAdmission({ now }, { NOW.plusMillis(now) })
  private val small = Shape(SMALL)
  private val large = Shape(LARGE)
  private val any = ContainerSizes(MOST, emptyList(), countsVcores = false)

  private fun ShapeAdmission.admit(
    wanted: Set<Shape>,
    sizes: ContainerSizes,
  ) = admit(wanted) { if (sizes.holds(it.resource)) null else Standing.TooLarge }

  private fun standing(shape: Shape) = admission.statuses()[shape]?.standing

  @Test
  fun whatNoLiveNodeHoldsIsWithheldUntilOneComes() {
    val none = ContainerSizes(MOST, listOf(room(1, capacity = SMALL)), countsVcores = false)
    assertEquals(setOf(small), admission.admit(setOf(small, large), none))
    assertEquals(Standing.TooLarge, standing(large))
    now = 5_000
    assertEquals(setOf(small, large), admission.admit(setOf(small, large), any))
    assertEquals(ShapeStatus(Standing.Asked, NOW.plusMillis(5_000), 5_000), admission.statuses()[large])
    assertEquals(ShapeStatus(Standing.Asked, NOW, 0), admission.statuses()[small])
  }

  @Test
  fun whatIsRefusedIsTriedAnewLessAndLessOften() {
    admission.admit(setOf(small, large), any)
    val tries = mutableListOf<Long>()
    while (now < 1_200_000) {
      if (large in admission.admit(setOf(small, large), any)) {
        tries += now
        admission.refused(large, "no")
      }
      now += 1_000
    }
    val pauses = tries.zipWithNext { a, b -> b - a }
    assertEquals(listOf(10_000L, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000), pauses)
    assertEquals(Standing.Refused("no"), standing(large))
    assertEquals(0, admission.statuses().getValue(large).sinceMillis, "it has been so all the time")
  }

  @Test
  fun whatIsRefusedIsTriedAnewSoonAfterTheNodesHaveChanged() {
    admission.admit(setOf(large), any)
    repeat(8) { admission.refused(large, "no") }
    now = 1_000
    admission.nodesChanged()
    assertEquals(emptySet<Shape>(), admission.admit(setOf(large), any), "nodes may come and go all the time")
    now = ShapeAdmission.SOON_MILLIS
    assertEquals(setOf(large), admission.admit(setOf(large), any))
  }

  @Test
  fun aRefusalIsForgottenOnceTheShapeIsTakenForAWhile() {
    admission.admit(setOf(large), any)
    admission.refused(large, "no")
    now = 10_000
    admission.admit(setOf(large), any)
    assertEquals(Standing.Refused("no"), standing(large), "it may be refused again")
    now += ShapeAdmission.SOON_MILLIS
    repeat(2) { assertEquals(setOf(large), admission.admit(setOf(large), any)) }
    assertEquals(Standing.Asked, standing(large))
  }

  @Test
  fun noMoreThanSixtyFourAreAskedForAtATimeAndTheOthersHaveTheirTurn() {
    val shapes = (1L..200L).map { Shape(Resource(it, 1)) }.toSet()
    val seen = HashSet<Shape>()
    while (now <= 4 * ShapeAdmission.TURN_MILLIS) {
      val admitted = admission.admit(shapes, any)
      assertEquals(ShapeAdmission.MAX_OPEN_SHAPES, admitted.size)
      seen += admitted
      assertTrue(shapes.filterNot { it in admitted }.all { standing(it) == Standing.InLine })
      now += 1_000
    }
    assertEquals(shapes, seen)
    assertEquals(ShapeStatus(Standing.InLine, NOW, 0), admission.statuses().values.first { it.standing == Standing.InLine })
  }

  @Test
  fun whatIsBeingGrantedKeepsItsTurn() {
    val shapes = (1L..65L).map { Shape(Resource(it, 1)) }.toSet()
    val first = admission.admit(shapes, any)
    val busy = first.first()
    now = ShapeAdmission.TURN_MILLIS - 1
    admission.granted(busy)
    now = ShapeAdmission.TURN_MILLIS
    val second = admission.admit(shapes, any)
    assertTrue(busy in second)
    assertTrue((shapes - first).single() in second)
  }

  @Test
  fun whatIsNoLongerWantedIsForgotten() {
    admission.admit(setOf(small, large), any)
    admission.refused(large, "no")
    admission.admit(setOf(small), any)
    assertEquals(setOf(small), admission.statuses().keys)
    assertEquals(setOf(small, large), admission.admit(setOf(small, large), any))
  }
}

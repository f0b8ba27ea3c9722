package knit.am.yarn

import knit.am.core.Resource
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class ContainerSizesTest {
  private val wide = room(1, capacity = Resource(16_384, 4))
  private val deep = room(2, capacity = Resource(8_192, 32))
  private val maximum = Resource(16_384, 32)

  @Test
  fun aContainerNeedsOneNodeThatHasAllOfIt() {
    val sizes = ContainerSizes(maximum, listOf(wide, deep, room(3)), countsVcores = true)
    assertTrue(sizes.holds(Resource(16_384, 4)))
    assertTrue(sizes.holds(Resource(8_192, 32)))
    assertFalse(sizes.holds(Resource(16_384, 32)))
    assertFalse(sizes.holds(Resource(16_385, 1)))
  }

  @Test
  fun vcoresThatAreNotCountedAreStillComparedWithTheMaximum() {
    val sizes = ContainerSizes(maximum, listOf(wide, deep), countsVcores = false)
    assertTrue(sizes.holds(Resource(16_384, 32)))
    assertFalse(sizes.holds(Resource(1, 33)))
  }

  @Test
  fun withoutKnowledgeOfNodesTheMaximumDecides() {
    val sizes = ContainerSizes(maximum, emptyList(), countsVcores = true)
    assertTrue(sizes.holds(maximum))
    assertEquals(null, sizes.closestTo(maximum))
  }

  @Test
  fun theNodeThatComesClosestIsNamed() {
    val sizes = ContainerSizes(maximum, listOf(wide, deep), countsVcores = true)
    assertEquals(wide, sizes.closestTo(Resource(20_000, 2)))
    assertEquals(deep, sizes.closestTo(Resource(20_000, 16)))
    assertEquals(deep, sizes.closestTo(Resource(20_000, 64)))
  }

  @Test
  fun aNodeThatAloneHasANamedResourceIsNoneToForget() {
    val gpus = room(4, capacity = Resource(4_096, 2, mapOf("yarn.io/gpu" to 2)))
    val sizes = ContainerSizes(maximum.copy(others = mapOf("yarn.io/gpu" to 2)), listOf(wide, deep, gpus), countsVcores = true)
    assertTrue(sizes.holds(Resource(4_096, 2, mapOf("yarn.io/gpu" to 2))))
    assertFalse(sizes.holds(Resource(8_192, 2, mapOf("yarn.io/gpu" to 1))))
    assertEquals(gpus, sizes.closestTo(Resource(8_192, 2, mapOf("yarn.io/gpu" to 1))))
  }
}

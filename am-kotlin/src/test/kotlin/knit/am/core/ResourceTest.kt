package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class ResourceTest {
  private val limit = MOST.copy(others = mapOf("yarn.io/gpu" to 4, "fpga" to 0))

  private fun gpus(amount: Long) = SMALL.copy(others = mapOf("yarn.io/gpu" to amount))

  @Test
  fun whatALimitHasTooLittleOfDoesNotFit() {
    assertTrue(gpus(4).fitsIn(limit))
    assertFalse(gpus(5).fitsIn(limit))
    assertFalse(gpus(1).fitsIn(MOST), "what it does not name it has none of")
    assertTrue(SMALL.fitsIn(limit))
  }

  @Test
  fun amountsAreAddedByName() {
    assertEquals(Resource(512, 2, mapOf("yarn.io/gpu" to 3)), gpus(1) + gpus(2))
    assertEquals(gpus(1), gpus(1) + SMALL - SMALL)
    assertEquals(-1L, (SMALL - gpus(1)).amountOf("yarn.io/gpu"))
  }

  @Test
  fun peopleReadAllOfIt() {
    assertEquals("256 MiB and 1 vcores", SMALL.toString())
    assertEquals("256 MiB, 1 vcores and 2 yarn.io/gpu", gpus(2).toString())
  }

  @Test
  fun anApplicationThatWantsWhatTheClusterDoesNotKnowEndsWithTheName() {
    val application = start("worker" to service(resource = SMALL.copy(others = mapOf("yarn.io/gpux" to 1)))).after(Registered(limit))
    assertEquals(
      "Service worker wants a resource named 'yarn.io/gpux', which this cluster does not grant: " +
        "it has memory, vcores, yarn.io/gpu, fpga. Ask for one of these, or have it defined in the cluster's resource-types.xml; " +
        "the CapacityScheduler counts more than memory only with its DominantResourceCalculator.",
      application.outcome?.diagnostics,
    )
  }

  @Test
  fun whatNoNodeHasIsTooMuchAndNotUnknown() {
    val application = start("worker" to service(resource = SMALL.copy(others = mapOf("fpga" to 1)))).after(Registered(limit))
    assertEquals(
      "Service worker wants 256 MiB, 1 vcores and 1 fpga for each container; " +
        "YARN grants at most 8192 MiB, 4 vcores, 4 yarn.io/gpu and 0 fpga to one. " +
        "Ask for less, or have the cluster's yarn.scheduler.maximum-allocation raised.",
      application.outcome?.diagnostics,
    )
  }

  @Test
  fun containersThatAreAddedWantWhatTheClusterKnows() {
    val application = start("worker" to service()).after(Registered(limit))
    val refused = { size: Resource -> assertThrows<AmException> { application.after(adding("worker", 1, size)) } }
    assertTrue("'yarn.io/gpux'" in refused(SMALL.copy(others = mapOf("yarn.io/gpux" to 1))).message.orEmpty())
    assertTrue("at least 1" in refused(gpus(0)).message.orEmpty())
    assertEquals(mapOf(SMALL to 1, gpus(4) to 1), application.after(adding("worker", 1, gpus(4))).wanted())
  }
}

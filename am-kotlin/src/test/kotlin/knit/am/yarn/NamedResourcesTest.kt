package knit.am.yarn

import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.Shape
import kotlinx.coroutines.test.StandardTestDispatcher
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runTest
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.yarn.api.records.NodeId
import org.apache.hadoop.yarn.api.records.NodeReport
import org.apache.hadoop.yarn.api.records.NodeState
import org.apache.hadoop.yarn.api.records.ResourceTypeInfo
import org.apache.hadoop.yarn.util.resource.ResourceUtils
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What a process knows of named resources is one table for all of it, so that each test leaves it as it was. */
class NamedResourcesTest {
  private val yarn = FakeYarn()
  private val gpus = SMALL.copy(others = mapOf("yarn.io/gpu" to 2))

  @AfterEach
  fun forget() {
    ResourceUtils.resetResourceTypes(Configuration(false))
  }

  private fun TestScope.session() = RmSession(lazy { yarn }, Leases(), StandardTestDispatcher(testScheduler)) { currentTime }

  @Test
  fun theResourceManagerTeachesTheNames() =
    runTest {
      yarn.typeNames = listOf("yarn.io/gpu", "fpga")
      yarn.countsAll = true
      yarn.mostOthers = mapOf("yarn.io/gpu" to 4)
      yarn.add(FakeYarn.Node("n1", Resource(4096, 8)))
      val registration = session().register("host", 1)
      assertTrue(registration.hasNewNames)
      assertEquals(Resource(4096, 8, mapOf("yarn.io/gpu" to 4, "fpga" to 0)), registration.maxResource)
      assertEquals(gpus, gpus.toYarn().toDomain())
      yarn.restart()
      assertFalse(session().register("host", 1).hasNewNames)
    }

  @Test
  fun whatTheSchedulerDoesNotCountItDoesNotGrant() =
    runTest {
      yarn.typeNames = listOf("yarn.io/gpu")
      yarn.mostOthers = mapOf("yarn.io/gpu" to 4)
      yarn.add(FakeYarn.Node("n1", Resource(4096, 8)))
      assertEquals(Resource(4096, 8), session().register("host", 1).maxResource)
    }

  @Test
  fun whatIsAskedForCarriesThem() =
    runTest {
      yarn.typeNames = listOf("yarn.io/gpu")
      yarn.countsAll = true
      yarn.mostOthers = mapOf("yarn.io/gpu" to 4)
      yarn.add(FakeYarn.Node("n1", Resource(4096, 8)))
      val session = session().also { it.register("host", 1) }
      session.allocate(Demand(mapOf(Shape(gpus) to NamedCounts(1)), emptySet(), 0f))
      val ask =
        yarn.requests
          .single()
          .askList
          .single()
      assertEquals(2L, ask.capability.getResourceValue("yarn.io/gpu"))
      session.allocate(Demand(emptyMap(), emptySet(), 0f))
      assertEquals(
        0L,
        yarn.requests
          .last()
          .askList
          .single()
          .capability
          .getResourceValue("yarn.io/gpu"),
        "taken back, it is the smallest size",
      )
    }

  @Test
  fun ofANodeWhatIsFreeOfThemIsWhatNobodyUses() {
    ResourceUtils.reinitializeResources(listOf("memory-mb", "vcores", "yarn.io/gpu").map { ResourceTypeInfo.newInstance(it) })
    val capacity = Resource(4096, 8, mapOf("yarn.io/gpu" to 4)).toYarn()
    val report =
      NodeReport
        .newInstance(
          NodeId.newInstance("n", 1),
          NodeState.RUNNING,
          "n:2",
          "/rack",
          gpus.toYarn(),
          capacity,
          0,
          "",
          0,
        ).toDomain(false)
    assertEquals(Resource(3840, 7, mapOf("yarn.io/gpu" to 2)), report.free)
    assertEquals(mapOf("yarn.io/gpu" to 4L), report.capacity.others)
  }

  @Test
  fun anAmountOfNothingIsNone() {
    ResourceUtils.reinitializeResources(listOf("memory-mb", "vcores", "yarn.io/gpu").map { ResourceTypeInfo.newInstance(it) })
    assertEquals(SMALL, SMALL.toYarn().toDomain())
    assertEquals(SMALL.copy(others = mapOf("yarn.io/gpu" to 0)), SMALL.toYarn().toLimit())
  }
}

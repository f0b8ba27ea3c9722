package knit.am.core

import knit.am.core.ContainerState.PENDING
import knit.am.core.ContainerState.REQUESTED
import knit.am.core.ContainerState.RUNNING
import knit.am.core.ContainerState.STOPPED
import knit.am.core.ContainerState.STOPPING
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class ServiceRequestsTest {
  private val running = registered("worker" to service(2)).after(granted(1), started(1))

  private fun adding(vararg services: Pair<String, ServiceSpec>) = AddServices(mapOf(*services))

  private fun removing(vararg names: String) = RemoveServices(names.toList())

  @Test
  fun anApplicationWhoseServicesAreAllRemovedEnds() {
    val ended = running.after(removing("worker"), completed(1, 143))
    assertEquals(Phase.REPORTING, ended.phase)
    assertEquals(FinalStatus.SUCCEEDED, ended.outcome?.finalStatus)
  }

  @Test
  fun aFailureInARemovedServiceIsNoFailure() {
    val gone = running.after(adding("b" to service()), granted(2), granted(3), started(3), removing("worker"), NodeLost("node1:8041"))
    assertEquals(listOf(STOPPED, STOPPED), gone.states())
    assertEquals(RUNNING, running.states().first())
  }
}

package knit.am.security

import knit.am.core.Access
import knit.am.core.Application
import knit.am.core.Caller
import knit.am.core.ContainerRef
import knit.am.core.ContainerState
import knit.am.core.DriverEnded
import knit.am.core.EndApplication
import knit.am.core.FinalStatus
import knit.am.core.HISTORY
import knit.am.core.MOST
import knit.am.core.NOW
import knit.am.core.Registered
import knit.am.core.Role
import knit.am.core.UpdateAction
import knit.am.core.UpdatePolicy
import knit.am.core.UpdateRig
import knit.am.core.UpdateService
import knit.am.core.after
import knit.am.core.completed
import knit.am.core.granted
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test

class ContainerRolesTest {
  private fun holder(ordinal: Int) = ContainerHolder(ContainerRef("worker", ordinal), 1)

  @Test
  fun aContainerMayWhatItsServiceSaysUntilItHasEnded() {
    for (access in Access.values()) {
      val running = registered("worker" to service(2).copy(access = access)).after(granted(1), started(1))
      assertEquals(access.name, running.roleOf(holder(0), null)?.name)
      assertNull(running.roleOf(ContainerHolder(ContainerRef("worker", 0), 2), null), "another attempt's token")
      assertNull(running.roleOf(holder(7), null))
      assertNull(running.after(completed(1, 1)).roleOf(holder(0), null))
    }
  }

  @Test
  fun theDriverMayWhatItsAccessSaysFromItsBeginningToItsEnd() {
    val waiting =
      Application.start("application_1_0001", 3, HISTORY, mapOf("worker" to service()), NOW, problem = null, hasDriver = true)
    val running = waiting.after(Registered(MOST), granted(1), started(1))
    val stopping = running.after(EndApplication(FinalStatus.KILLED, ""))
    val ended = running.after(DriverEnded(0, ""))
    for (access in Access.values()) {
      assertNull(waiting.roleOf(DriverHolder(3), access), "it has not begun")
      assertEquals(access.name, running.roleOf(DriverHolder(3), access)?.name)
      assertEquals(access.name, stopping.roleOf(DriverHolder(3), access)?.name)
      assertNull(ended.roleOf(DriverHolder(3), access))
      assertNull(stopping.after(DriverEnded(143, "")).roleOf(DriverHolder(3), access))
      assertNull(running.roleOf(DriverHolder(2), access), "that of an attempt before")
    }
    assertNull(registered("worker" to service()).roleOf(DriverHolder(1), null), "there is none")
  }

  /** An operator passes a service to a program of his own, with an operator's access, and has it rolled back by letting it fail. */
  @Test
  fun aRollbackGivesThoseThatWentBeforeNothingThatTheyHadNot() {
    val owners = service(3).copy(access = Access.OWNER, updatePolicy = UpdatePolicy(maxUnavailable = 1, maxSurge = 0))
    val rig = UpdateRig(owners)
    rig.serve()
    rig.pass(java.time.Duration.ofSeconds(5))
    val operators = owners.copy(command = "other", access = Access.OPERATOR)
    rig.send(UpdateService("worker", UpdateAction.Pass(operators), caller = Caller(Role.OPERATOR)))
    rig.serve()
    val new = rig.latest.first { it.revision == 2 && it.state == ContainerState.RUNNING }
    val old = rig.latest.first { it.revision == 1 && it.state == ContainerState.RUNNING }

    fun roleOf(
      ordinal: Int,
      attempt: Int,
    ) = rig.application.roleOf(ContainerHolder(ContainerRef("worker", ordinal), attempt), null)
    assertEquals(Role.OPERATOR, roleOf(new.ordinal, new.key.attemptNumber))
    assertEquals(Role.OPERATOR, roleOf(old.ordinal, old.key.attemptNumber), "what is wanted now holds for all")
    rig.act(UpdateAction.RollBack)
    assertEquals(Access.OWNER, rig.application.spec("worker").access)
    assertEquals(Role.OPERATOR, roleOf(new.ordinal, new.key.attemptNumber))
    assertEquals(Role.OWNER, roleOf(old.ordinal, old.key.attemptNumber))
  }

  @Test
  fun accessThatIsChangedAloneHoldsAtOnce() {
    val rig = UpdateRig(service(1))
    rig.serve()
    for (access in listOf(Access.OWNER, Access.CONTAINER, Access.OPERATOR)) {
      rig.update(service(1).copy(access = access))
      assertEquals(access.name, rig.application.roleOf(holder(0), null)?.name)
    }
  }
}

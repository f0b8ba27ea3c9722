package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** Whoever chooses what a program is, or does, chooses what is done with its access. */
class AccessTest {
  private val container = ContainerRef("worker", 0)
  private val callers =
    listOf(
      Caller(Role.OWNER),
      Caller(Role.OPERATOR),
      Caller(Role.OPERATOR, container),
      Caller(Role.OPERATOR, isDriver = true),
      Caller(Role.OWNER, container),
      Caller(Role.OWNER, isDriver = true),
    )

  private fun isRefused(
    command: Command<*>,
    application: Application,
  ): AmException? =
    try {
      application.decide(command as Input, NOW)
      null
    } catch (refused: AmException.PermissionDenied) {
      refused
    }

  /** What is to be run anew, by whom: whether that is another program than the one that was given the access. */
  @Test
  fun nobodyHasAProgramDoMoreThanTheyMay() {
    val other = mapOf("BASH_ENV" to "mine")
    for (access in Access.values()) {
      val spec = service(2).copy(access = access)
      val running = registered("worker" to spec).after(granted(1), granted(2), started(1), started(2))
      for (caller in callers) {
        val changing: List<Command<*>> =
          listOf(
            adding("worker", 1, environment = other).copy(caller = caller),
            adding("worker", 1, LARGE, other).copy(caller = caller),
            UpdateService("worker", UpdateAction.Pass(spec.copy(command = "mine")), caller = caller),
            UpdateService("worker", UpdateAction.Pass(spec.copy(environment = other)), caller = caller),
            AddServices(mapOf("new" to spec), caller = caller),
          )
        val same: List<Command<*>> =
          listOf(
            adding("worker", 1).copy(caller = caller),
            adding("worker", 1, LARGE).copy(caller = caller),
            ScaleService("worker", Amount.Delta(1)),
            RestartContainers(Named(serviceNames = listOf("worker"))),
          )
        val mayAll = caller.role == Role.OWNER || access != Access.OWNER
        for (command in changing) assertEquals(mayAll, isRefused(command, running) == null, "$caller with $access: $command")
        for (command in same) assertEquals(null, isRefused(command, running), "$caller with $access: $command")
      }
    }
  }

  @Test
  fun theRefusalSaysWhoAsksAndTheWayOut() {
    val running = registered("worker" to service(1).copy(access = Access.OWNER))
    val words =
      mapOf(
        Caller(Role.OPERATOR) to "these credentials are an operator's",
        Caller(Role.OPERATOR, container) to "this is container worker #0, whose service has the access operator",
        Caller(Role.OPERATOR, isDriver = true) to "this is the driver, which has the access operator",
      )
    for ((caller, who) in words) {
      val request = adding("worker", 1, environment = mapOf("A" to "hunter2")).copy(caller = caller)
      val refused = assertThrows<AmException.PermissionDenied> { running.decide(request, NOW) }
      assertEquals(mapOf("service_name" to "worker", "role" to "operator", "needed" to "owner"), refused.facts)
      for (part in listOf("Containers of worker", "have the access owner", who, "without variables")) {
        assertTrue(part in refused.message.orEmpty(), refused.message)
      }
    }
  }

  @Test
  fun aDriverStopsNothingUnlessItMay() {
    val running = registered("worker" to service(1)).after(granted(1), started(1))
    val stop = StopContainers(listOf(id(1)), emptyList(), caller = Caller(Role.CONTAINER, isDriver = true))
    val refused = assertThrows<AmException.PermissionDenied> { running.decide(stop, NOW) }
    assertEquals(Reason.NOT_YOURSELF, refused.reason)
    assertTrue(
      "A driver may stop no container, unless it is submitted with the access operator" in refused.message.orEmpty(),
      refused.message,
    )
    assertEquals(listOf(ContainerState.STOPPING), running.after(stop.copy(caller = Caller(Role.OPERATOR, isDriver = true))).states())
  }
}

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
  fun addedServicesBeginAsOthersDo() {
    val decision = running.decide(adding("b" to service(2, LARGE), "a" to service(1, depends = listOf(Dependency("worker")))), NOW)
    assertEquals(listOf("a", "b"), decision.answer.services.map { it.name })
    assertEquals(listOf(ServiceCondition.PENDING, ServiceCondition.STARTING), decision.answer.services.map { it.condition })
    assertEquals(listOf("a", "b", "worker"), decision.application.serviceNames)
    assertEquals(listOf(PENDING), decision.application.states("a"))
    assertEquals(listOf(REQUESTED, REQUESTED), decision.application.states("b"))
    assertEquals(mapOf(SMALL to 1, LARGE to 2), decision.application.wanted())
    assertEquals(
      "true",
      (
        decision.application
          .after(granted(1))
          .decide(granted(5, resource = LARGE), NOW)
          .effects
          .single() as Launch
      ).spec.command,
    )
  }

  @Test
  fun allOrNoneAreAdded() {
    val many = (1..999).associate { "s$it" to service(0) }
    val table =
      listOf(
        adding() to Reason.INVALID_ARGUMENT,
        adding("new" to service(), "worker" to service()) to Reason.SERVICE_EXISTS,
        adding("new" to service(), "-" to service()) to Reason.INVALID_ARGUMENT,
        adding("new" to service(-1)) to Reason.INVALID_ARGUMENT,
        adding("new" to service(depends = listOf(Dependency("nobody")))) to Reason.INVALID_ARGUMENT,
        adding("a" to service(depends = listOf(Dependency("b"))), "b" to service(depends = listOf(Dependency("a")))) to
          Reason.INVALID_ARGUMENT,
        adding("new" to service(depends = listOf(Dependency("new")))) to Reason.INVALID_ARGUMENT,
        adding("new" to service(1, Resource(9_000, 1))) to Reason.RESOURCE_TOO_LARGE,
        AddServices(many + ("last" to service(0))) to Reason.TOO_MANY_SERVICES,
      )
    for ((request, reason) in table) {
      assertEquals(reason, assertThrows<AmException>("$request") { running.decide(request, NOW) }.reason, "$request")
    }
    assertEquals(1_000, running.after(AddServices(many)).services.size)
    val full = assertThrows<AmException> { running.decide(adding("new" to service(99_999)), NOW) }
    assertTrue("100000" in full.message.orEmpty(), full.message)
    assertEquals(100_000, running.after(adding("new" to service(99_998))).placeCount)
    val ending = running.after(EndApplication(FinalStatus.KILLED, ""))
    assertEquals(Reason.APPLICATION_ENDING, assertThrows<AmException> { ending.decide(adding("new" to service()), NOW) }.reason)
  }

  @Test
  fun aRemovedServiceStaysListedAndTakesNothingMore() {
    val decision = running.after(adding("b" to service())).decide(removing("worker"), NOW)
    assertEquals(
      ServiceCondition.REMOVED,
      decision.answer.services
        .single()
        .condition,
    )
    assertEquals(
      0,
      decision.answer.services
        .single()
        .target,
    )
    assertEquals(listOf(STOPPING, STOPPED), decision.application.states())
    val gone = decision.application.after(completed(1, 143))
    assertEquals(listOf(STOPPED, STOPPED), gone.states())
    assertEquals(Phase.RUNNING, gone.phase)
    assertEquals(ServiceCondition.REMOVED, gone.services.getValue("worker").condition)
    val commands =
      listOf(
        AddContainers("worker", 1, null, emptyMap(), ""),
        ScaleService("worker", Amount.Count(1)),
        UpdateService("worker", UpdateAction.Pass(service(2).copy(command = "other"))),
      )
    for (command in commands) {
      assertEquals(Reason.SERVICE_REMOVED, assertThrows<AmException>("$command") { gone.decide(command, NOW) }.reason)
    }
    assertEquals(Reason.SERVICE_EXISTS, assertThrows<AmException> { gone.decide(adding("worker" to service()), NOW) }.reason)
    assertSame(gone, gone.decide(removing("worker"), NOW).application, "twice is safe")
  }

  @Test
  fun whatOthersWaitForStays() {
    val waiting = running.after(adding("b" to service(depends = listOf(Dependency("worker")))))
    val refused = assertThrows<AmException> { waiting.decide(removing("worker"), NOW) }
    assertEquals(Reason.SERVICE_NEEDED, refused.reason)
    assertEquals(mapOf("service_name" to "worker", "needed_by" to "b"), refused.facts)
    assertEquals(
      2,
      waiting
        .decide(removing("worker", "b"), NOW)
        .answer.services.size,
    )
    assertEquals(Reason.NO_SUCH_SERVICE, assertThrows<AmException> { waiting.decide(removing("b", "c"), NOW) }.reason)
    assertEquals(Reason.INVALID_ARGUMENT, assertThrows<AmException> { waiting.decide(removing(), NOW) }.reason)
  }

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

  @Test
  fun nobodyGivesMoreAccessThanTheyHave() {
    val container = ContainerRef("worker", 0)
    val table =
      listOf(
        Triple(Caller(Role.OWNER), Access.OWNER, true),
        Triple(Caller(Role.OPERATOR), Access.OWNER, false),
        Triple(Caller(Role.OPERATOR), Access.OPERATOR, true),
        Triple(Caller(Role.OPERATOR, container), Access.OWNER, false),
        Triple(Caller(Role.OWNER, container), Access.OWNER, true),
        Triple(Caller(Role.OPERATOR), Access.CONTAINER, true),
      )
    for ((caller, access, isTaken) in table) {
      val request = adding("a" to service(), "b" to service().copy(access = access)).copy(caller = caller)
      if (isTaken) {
        assertEquals(access, running.after(request).spec("b").access)
      } else {
        val refused = assertThrows<AmException.PermissionDenied> { running.decide(request, NOW) }
        assertEquals(Reason.PERMISSION_DENIED, refused.reason)
        assertEquals(mapOf("service_name" to "b", "role" to "operator", "needed" to "owner"), refused.facts)
      }
    }
  }

  @Test
  fun aDriverAloneTakesServices() {
    val alone =
      Application
        .start(
          "application_1_0001",
          1,
          HISTORY,
          emptyMap(),
          NOW,
          problem = null,
          hasDriver = true,
        ).after(Registered(MOST))
    assertEquals(listOf("worker"), alone.after(adding("worker" to service())).serviceNames)
  }
}

package knit.am.grpc

import com.google.protobuf.UnknownFieldSet
import knit.am.core.AmException
import knit.am.core.Amount
import knit.am.core.Caller
import knit.am.core.ContainerRef
import knit.am.core.NOW
import knit.am.core.Reason
import knit.am.core.Role
import knit.am.core.ScaleDownOrder
import knit.am.core.ScaleService
import knit.am.core.UpdateAction
import knit.am.core.UpdateService
import knit.am.core.decide
import knit.am.core.granted
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.v1.AddServicesRequest
import knit.v1.ContainerState
import knit.v1.RemoveServicesRequest
import knit.v1.ScaleServiceRequest
import knit.v1.ServiceSpec
import knit.v1.UpdateServiceRequest
import knit.v1.UpdateState
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import knit.v1.ContainerRef as ContainerRefMessage
import knit.v1.ScaleDownOrder as ScaleDownOrderMessage

class ServiceMessagesTest {
  private val unknown =
    UnknownFieldSet
      .newBuilder()
      .addField(
        99,
        UnknownFieldSet.Field
          .newBuilder()
          .addVarint(1)
          .build(),
      ).build()

  @Test
  fun aScaleSaysHowManyAndWhich() {
    val victim = ContainerRefMessage.newBuilder().setServiceName("worker").setOrdinal(3)
    val request = ScaleServiceRequest.newBuilder().setServiceName("worker").setRequestId("one")
    assertEquals(
      ScaleService("worker", Amount.Count(0), null, listOf(ContainerRef("worker", 3)), "one"),
      request
        .clone()
        .setCount(0)
        .addVictims(victim)
        .build()
        .toDomain(),
    )
    val oldest = ScaleDownOrderMessage.SCALE_DOWN_ORDER_OLDEST_FIRST
    assertEquals(
      ScaleService("worker", Amount.Delta(-2), ScaleDownOrder.OLDEST_FIRST, emptyList(), "one"),
      request
        .clone()
        .setDelta(-2)
        .setOrder(oldest)
        .build()
        .toDomain(),
    )
    assertThrows<AmException.InvalidArgument> { request.build().toDomain() }
  }

  @Test
  fun anUpdateHasOneAction() {
    val operator = Caller(Role.OPERATOR)
    val request = UpdateServiceRequest.newBuilder().setServiceName("worker").setFromRevision(2)
    assertEquals(UpdateService("worker", UpdateAction.Pause, 2, caller = operator), request.setPause(true).build().toDomain(operator))
    assertEquals(UpdateService("worker", UpdateAction.GoOn, 2, caller = operator), request.setGoOn(true).build().toDomain(operator))
    assertEquals(UpdateService("worker", UpdateAction.RollBack, 2, caller = operator), request.setRollBack(true).build().toDomain(operator))
    assertThrows<AmException.InvalidArgument> { request.setRollBack(false).build().toDomain(operator) }
    assertThrows<AmException.InvalidArgument> { request.clearAction().build().toDomain(operator) }
  }

  @Test
  fun whatIsNotKnownIsRefused() {
    val spec = ServiceSpec.newBuilder().setUnknownFields(unknown)
    val calls =
      listOf<() -> Any>(
        {
          ScaleServiceRequest
            .newBuilder()
            .setUnknownFields(unknown)
            .build()
            .toDomain()
        },
        {
          ScaleServiceRequest
            .newBuilder()
            .setOrderValue(99)
            .build()
            .toDomain()
        },
        {
          AddServicesRequest
            .newBuilder()
            .setUnknownFields(unknown)
            .build()
            .toDomain(Caller(Role.OWNER))
        },
        {
          AddServicesRequest
            .newBuilder()
            .putServices("a", spec.build())
            .build()
            .toDomain(Caller(Role.OWNER))
        },
        {
          RemoveServicesRequest
            .newBuilder()
            .setUnknownFields(unknown)
            .build()
            .toDomain()
        },
        {
          UpdateServiceRequest
            .newBuilder()
            .setUnknownFields(unknown)
            .build()
            .toDomain(Caller(Role.OWNER))
        },
        {
          UpdateServiceRequest
            .newBuilder()
            .setSpec(spec)
            .build()
            .toDomain(Caller(Role.OWNER))
        },
      )
    for (call in calls) assertEquals(Reason.UNKNOWN_FIELD, assertThrows<AmException> { call() }.reason)
  }

  @Test
  fun aServiceIsToldWithItsUpdateAndWithoutValues() {
    val running = registered("worker" to service(2, environment = mapOf("SECRET" to "x")))
    val started = listOf(granted(1), started(1)).fold(running) { application, input -> application.decide(input, NOW).application }
    val next = started.spec("worker").copy(command = "next")
    val updating = started.decide(UpdateService("worker", UpdateAction.Pass(next)), NOW).application
    val message = updating.serviceMessage("worker")
    assertEquals(2, message.revision)
    assertEquals(2, message.target)
    assertEquals("next", message.spec.command)
    assertEquals(mapOf("SECRET" to ""), message.spec.environmentMap)
    assertEquals(1 to 2, message.update.fromRevision to message.update.toRevision)
    assertEquals(UpdateState.UPDATE_STATE_UPDATING, message.update.state)
    assertEquals(1, message.countsList.single { it.state == ContainerState.CONTAINER_STATE_RUNNING }.count)
    assertTrue(message.accountsList.all { it.spent == 0 })
    assertFalse(message.hasAllocationDeadline())
  }
}

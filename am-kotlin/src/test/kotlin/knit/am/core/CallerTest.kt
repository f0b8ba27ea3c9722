package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class CallerTest {
  private val self = ContainerRef("worker", 3)
  private val other = ContainerRef("worker", 4)

  @Test
  fun aContainerMayDealWithItselfOnly() {
    val caller = Caller(Role.CONTAINER, self)
    caller.refuseOthers(emptyList(), "stop")
    caller.refuseOthers(listOf(self, self), "stop")
    for (wanted in listOf(listOf(other), listOf(self, other), listOf(ContainerRef("other", 3)))) {
      val refused = assertThrows(AmException.PermissionDenied::class.java) { caller.refuseOthers(wanted, "stop") }
      assertEquals(Reason.NOT_YOURSELF, refused.reason)
      assertTrue("may stop itself only: this is worker #3, and not ${wanted.last()}" in refused.message.orEmpty(), refused.message)
    }
  }

  @Test
  fun whoeverMayMoreMayDealWithAny() {
    for (caller in listOf(Caller(Role.OWNER), Caller(Role.OPERATOR), Caller(Role.OPERATOR, self), Caller(Role.OWNER, self))) {
      caller.refuseOthers(listOf(other), "stop")
    }
  }
}

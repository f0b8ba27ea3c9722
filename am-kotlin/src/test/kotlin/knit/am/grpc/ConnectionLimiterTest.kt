package knit.am.grpc

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test

class ConnectionLimiterTest {
  private val limiter = ConnectionLimiter<String>(maxStrangers = 4, maxOpen = 8)

  private fun arrive(
    name: String,
    address: String = "a",
  ) = limiter.arrive(name, address)

  @Test
  fun oneStrangerTooManyMakesTheOldestGo() {
    repeat(4) { assertNull(arrive("s$it")) }
    assertEquals("s0", arrive("s4"))
    assertEquals("s1", arrive("s5"))
    assertEquals(4, limiter.strangerCount)
  }

  @Test
  fun theSilentGoBeforeThoseWhoSpeakHoweverOld() {
    repeat(4) { arrive("s$it") }
    limiter.speak("s0")
    assertEquals("s1", arrive("s4"))
    listOf("s2", "s3", "s4").forEach(limiter::speak)
    assertEquals("s0", arrive("s5"))
  }

  @Test
  fun theAddressWithTheMostGivesWay() {
    arrive("client", "b")
    repeat(3) { arrive("s$it") }
    assertEquals("s0", arrive("s3"))
    assertEquals("s1", arrive("s4", "c"))
  }

  @Test
  fun clientsStayWhoeverComes() {
    repeat(4) { arrive("s$it") }
    limiter.recognize("s0")
    assertNull(arrive("s4"))
    repeat(100) { arrive("more $it") }
    limiter.leave("s0")
    assertEquals(4, limiter.strangerCount)
  }

  @Test
  fun whereAllAreClientsTheNewcomerIsClosed() {
    repeat(8) {
      assertNull(arrive("client $it"))
      limiter.recognize("client $it")
    }
    assertEquals("late", arrive("late"))
    limiter.leave("client 0")
    assertNull(arrive("in time"))
  }

  @Test
  fun whoeverLeavesMakesRoom() {
    repeat(4) { arrive("s$it") }
    limiter.leave("s2")
    assertNull(arrive("s4"))
    limiter.leave("unknown")
    assertEquals(4, limiter.strangerCount)
  }
}

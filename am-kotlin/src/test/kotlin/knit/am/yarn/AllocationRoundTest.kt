package knit.am.yarn

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test

class AllocationRoundTest {
  private var now = 0L
  private val round = AllocationRound { now }

  private fun heartbeat(
    open: Int,
    granted: Int = 0,
  ): String? {
    round.asks(open)
    now += 100
    return round.answered(granted, open - granted)
  }

  @Test
  fun itEndsWithTheHeartbeatThatLeavesNothingOpenAndIsCountedFromTheFirst() {
    assertNull(heartbeat(0))
    assertNull(heartbeat(50))
    assertNull(heartbeat(50, granted = 30))
    assertEquals("50 containers granted within 3 heartbeats, 300 ms", heartbeat(20, granted = 20))
    assertNull(heartbeat(0))
    assertEquals("1 containers granted within 1 heartbeats, 100 ms", heartbeat(1, granted = 1))
  }

  @Test
  fun oneThatIsTakenBackComesToNothing() {
    assertNull(heartbeat(3))
    round.asks(0)
    assertNull(round.answered(0, 0))
    assertEquals("2 containers granted within 1 heartbeats, 100 ms", heartbeat(2, granted = 2))
  }
}

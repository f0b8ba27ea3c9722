package knit.am.core

import io.kotest.property.Arb
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import knit.am.forAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class WaitingTest {
  /** Numbers above 0 join the line at that rank; those below leave it, whoever is nearest. */
  @Test
  fun theLowestThatWaitsIsFirst() =
    forAll(500, Arb.list(Arb.int(-20..40), 0..60)) { steps ->
      var waiting = Waiting.NONE
      val model = sortedSetOf<ContainerKey>()
      var attempt = 0
      for (step in steps) {
        if (step >= 0) {
          val key = key("worker", step, ++attempt)
          model += key
          waiting = waiting.plus(SMALL, key)
        } else if (model.isNotEmpty()) {
          model -= model.elementAt(-step % model.size)
          waiting = waiting.minus(SMALL, "worker") { it in model }
        }
        assertEquals(model.firstOrNull(), waiting.first(SMALL))
        assertEquals(if (model.isEmpty()) emptyMap() else mapOf(SMALL to model.size), waiting.counts)
      }
    }
}

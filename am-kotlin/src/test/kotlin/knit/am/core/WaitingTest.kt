package knit.am.core

import net.jqwik.api.Arbitraries
import net.jqwik.api.Arbitrary
import net.jqwik.api.ForAll
import net.jqwik.api.Property
import net.jqwik.api.Provide
import org.junit.jupiter.api.Assertions.assertEquals

class WaitingTest {
  /** Numbers above 0 join the line at that rank; those below leave it, whoever is nearest. */
  @Property(tries = 500)
  fun theLowestThatWaitsIsFirst(
    @ForAll("steps") steps: List<Int>,
  ) {
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
        waiting = waiting.minus(SMALL) { it in model }
      }
      assertEquals(model.firstOrNull(), waiting.first(SMALL))
      assertEquals(if (model.isEmpty()) emptyMap() else mapOf(SMALL to model.size), waiting.counts)
    }
  }

  @Provide
  fun steps(): Arbitrary<List<Int>> =
    Arbitraries
      .integers()
      .between(-20, 40)
      .list()
      .ofMaxSize(60)
}

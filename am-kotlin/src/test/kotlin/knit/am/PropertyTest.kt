package knit.am

import io.kotest.property.Arb
import io.kotest.property.arbitrary.bind
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.ByteArrayOutputStream
import java.io.PrintStream

class PropertyTest {
  data class Sample(
    val numbers: List<Int>,
    val other: Int,
  )

  @Test
  fun aFailureNamesItsSeedAndASmallSample() {
    val samples = Arb.bind(Arb.list(Arb.int(0..100), 0..40), Arb.int(0..100), ::Sample)
    val said = failure { forAll(1_000, samples, seed = 42) { assertTrue(it.numbers.size < 3) } }.message.orEmpty()
    assertTrue("seed 42" in said, said)
    assertTrue(Regex("""Sample\(numbers=\[\d+, \d+, \d+], other=0\) \(shrunk""").containsMatchIn(said), said)
  }

  /** What kotest prints of it is for people; here it would look like a failure of this test. */
  private fun failure(property: () -> Unit): AssertionError {
    val out = System.out
    System.setOut(PrintStream(ByteArrayOutputStream()))
    try {
      return assertThrows(AssertionError::class.java) { property() }
    } finally {
      System.setOut(out)
    }
  }

  @Test
  fun asManySamplesAreTriedAsIsSaid() {
    var tried = 0
    forAll(77, Arb.int(0..9)) { tried++ }
    assertEquals(77, tried)
  }
}

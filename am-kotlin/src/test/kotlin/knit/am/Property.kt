package knit.am

import io.kotest.common.ExperimentalKotest
import io.kotest.property.Arb
import io.kotest.property.EdgeConfig
import io.kotest.property.PropTestConfig
import io.kotest.property.PropertyTesting
import io.kotest.property.ShrinkingMode
import io.kotest.property.checkAll
import kotlinx.coroutines.runBlocking

/**
 * Hold [property] for [samples] samples of [arb], [edgeCases] of them (a share) with extreme values.
 *
 * A failure names a small sample that shows it and the seed; with that as [seed] it comes again.
 */
@OptIn(ExperimentalKotest::class)
fun <A> forAll(
  samples: Int,
  arb: Arb<A>,
  edgeCases: Double = 0.02,
  seed: Long? = null,
  property: (A) -> Unit,
) {
  // A build leaves nothing in the home of who runs it.
  PropertyTesting.writeFailedSeed = false
  PropertyTesting.shouldPrintShrinkSteps = false
  val config =
    PropTestConfig(
      seed = seed,
      iterations = samples,
      shrinkingMode = ShrinkingMode.Bounded(1_000),
      edgeConfig = EdgeConfig(edgeCases),
    )
  runBlocking { checkAll(config, arb) { property(it) } }
}

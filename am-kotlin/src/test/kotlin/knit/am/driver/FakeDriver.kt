package knit.am.driver

import kotlinx.coroutines.CompletableDeferred

/** A driver that does what the test tells it. */
internal class FakeDriver(
  val script: suspend () -> String,
) : Driver {
  val started = CompletableDeferred<Unit>()
  val stopped = CompletableDeferred<Unit>()
  private var ended: (DriverEnd) -> Unit = {}

  fun end(
    exitCode: Int?,
    diagnostics: String = "",
  ) = ended(DriverEnd(exitCode, diagnostics))

  override fun start(ended: (DriverEnd) -> Unit) {
    this.ended = ended
    started.complete(Unit)
  }

  override fun stop() {
    stopped.complete(Unit)
  }
}

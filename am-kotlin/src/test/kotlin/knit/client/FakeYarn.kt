package knit.client

import knit.am.core.Resource
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.apache.hadoop.yarn.api.records.ApplicationId
import org.apache.hadoop.yarn.api.records.ApplicationSubmissionContext
import org.apache.hadoop.yarn.api.records.FinalApplicationStatus
import org.apache.hadoop.yarn.api.records.YarnApplicationState
import java.io.IOException

/** A ResourceManager of one node that says what a test wants. */
internal class FakeYarn : Yarn {
  val id: ApplicationId = ApplicationId.newInstance(1_700_000_000_000, 7)
  val submitted = mutableListOf<ApplicationSubmissionContext>()
  val killed = mutableListOf<ApplicationId>()

  /** What a submission fails with. */
  var refusal: Exception? = null

  /** What killing fails with. */
  var killFailure: Exception? = null

  /** What is done while a submission is on its way. */
  var meanwhile: () -> Unit = {}

  /** What is reported, one after the other; null is silence. The last is repeated. */
  var reports: List<Yarn.Report?> = emptyList()
  private var asked = 0

  override val address = "rm:8032"

  override val identity = IDENTITY

  override fun newApplication() = Yarn.NewApplication(id, maximum = Resource(8192, 4))

  override fun queues() =
    listOf(
      Yarn.Queue("root", isLeaf = false, isRunning = true),
      Yarn.Queue("root.default", isLeaf = true, isRunning = true),
      Yarn.Queue("root.closed", isLeaf = true, isRunning = false),
    )

  override fun nodes() = listOf(Yarn.Node("node:1", Resource(4096, 8)))

  override fun submit(context: ApplicationSubmissionContext) {
    meanwhile()
    refusal?.let { throw it }
    submitted += context
  }

  override fun report(id: ApplicationId): Yarn.Report = reports[asked++.coerceAtMost(reports.size - 1)] ?: throw IOException("no answer")

  override fun kill(id: ApplicationId) {
    killFailure?.let { throw it }
    killed += id
  }

  override fun delegationToken(renewer: String) =
    Token<TokenIdentifier>("for $renewer".toByteArray(), byteArrayOf(1), Text("RM_DELEGATION_TOKEN"), Text("rm:8032"))

  override fun close() = Unit

  companion object {
    const val IDENTITY = "rm:8032"

    fun report(
      state: YarnApplicationState,
      finalStatus: FinalApplicationStatus = FinalApplicationStatus.UNDEFINED,
      diagnostics: String = "",
      address: Pair<String, Int>? = null,
    ) = Yarn.Report(state, finalStatus, diagnostics, address, finishTimeMillis = 0)
  }
}

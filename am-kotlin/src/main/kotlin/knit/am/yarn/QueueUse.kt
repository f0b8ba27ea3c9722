package knit.am.yarn

import knit.am.core.Resource
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineName
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch
import org.slf4j.LoggerFactory

/** What YARN says of the application's queue. */
internal data class QueueReport(
  val name: String,
  val used: Resource,
  /** What it is sure to have, as a part of the whole partition; null where the scheduler does not say. */
  val capacityShare: Double?,
  /** The most it may use, likewise. */
  val limitShare: Double?,
)

/** The same in amounts; null where the scheduler does not say, or the nodes are not known. */
internal data class QueueUse(
  val name: String,
  val used: Resource,
  val capacity: Resource?,
  val limit: Resource?,
) {
  /** Whether [size] is more than it may still use. */
  fun isFullFor(
    size: Resource,
    countsVcores: Boolean,
  ): Boolean {
    val most = limit ?: return false
    val then = used + size
    return then.memoryMib > most.memoryMib || (countsVcores && then.vcores > most.vcores)
  }

  companion object {
    /** @param total all that the nodes of the default partition offer */
    fun of(
      report: QueueReport,
      total: Resource?,
    ) = QueueUse(report.name, report.used, total?.share(report.capacityShare), total?.share(report.limitShare))

    private fun Resource.share(part: Double?): Resource? = part?.let { Resource((memoryMib * it).toLong(), (vcores * it).toInt()) }
  }
}

/** Asks for the queue's report now and then, while somebody waits for what the queue may be short of. */
internal class QueueReports(
  private val resourceManager: ResourceManager,
  private val nowMillis: () -> Long,
) {
  private val log = LoggerFactory.getLogger(QueueReports::class.java)
  private var askedMillis: Long? = null
  private var underWay: Job? = null

  /** Set once the RM does not tell this application of its queue. */
  private var isMute = false

  /** The last that was told; null: none, or it is too old. */
  var latest: QueueReport? = null
    private set

  fun refreshIfUseful(
    scope: CoroutineScope,
    queueName: String,
    isUseful: Boolean,
  ) {
    val age = askedMillis?.let { nowMillis() - it } ?: Long.MAX_VALUE
    if (!isUseful) {
      if (age >= INTERVAL_MILLIS) latest = null
      return
    }
    if (isMute || queueName.isEmpty() || age < INTERVAL_MILLIS || underWay?.isActive == true) return
    askedMillis = nowMillis()
    underWay = scope.launch(CoroutineName("queue-report")) { latest = ask(queueName) }
  }

  private suspend fun ask(queueName: String): QueueReport? =
    try {
      resourceManager.queue(queueName).also { if (it == null) isMute = true }
    } catch (
      @Suppress("TooGenericExceptionCaught") failure: Exception,
    ) {
      if (failure is CancellationException) throw failure
      log.info("The ResourceManager does not report the queue {}: {}", queueName, failure.toString())
      null
    }

  companion object {
    const val INTERVAL_MILLIS = 10_000L

    /** So long before a reason is due that the answer is there with it: the first that is told names the queue. */
    const val USEFUL_AFTER_MILLIS = WAITING_AFTER_MILLIS - 2_000L
  }
}

package knit.am.log

import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import java.io.IOException
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger

/** What nodes have said lately of which files containers have, for all who follow one of a container's. */
internal class Listings(
  private val nowMillis: () -> Long,
) {
  private val listings = ConcurrentHashMap<String, Listing>()
  private val asked = AtomicInteger()

  /** How many questions one round of looking at everything that is followed takes. */
  val askedFor: Int
    get() = asked.get()

  /** The listing of a container, until [leave] has been called as often as this. */
  fun enter(containerId: String): Listing =
    checkNotNull(listings.compute(containerId) { _, known -> (known ?: Listing()).also { it.counted(1) } })

  fun leave(containerId: String) {
    listings.computeIfPresent(containerId) { _, listing -> listing.also { it.counted(-1) }.takeIf { it.followers > 0 } }
  }

  inner class Listing {
    @Volatile
    var followers = 0
      private set

    private val lock = Mutex()

    @Volatile
    private var last: Answer? = null

    /** Nodes look at their file system for a list, and at HDFS: cheaper than asking for each file only where there are some. */
    val isWorthwhile: Boolean
      get() = followers >= WORTHWHILE

    internal fun counted(change: Int) {
      val before = questions()
      followers += change
      asked.addAndGet(questions() - before)
    }

    private fun questions() = if (isWorthwhile) 1 else followers

    /** How old a list may be for those who wait for a file to come to be: it grows as long as none does. */
    fun maxAgeOfMissing(mostMillis: Long): Long = (MIN_AGE_MILLIS shl (last?.unchanged ?: 0)).coerceAtMost(mostMillis)

    /** What was told last, if that is [maxAgeMillis] old at most. */
    fun fresh(maxAgeMillis: Long): Answer? = last?.takeIf { nowMillis() - it.atMillis < maxAgeMillis }

    /** The same, asked for if need be: one asks, the others wait for its answer. */
    suspend fun answer(
      maxAgeMillis: Long,
      ask: suspend () -> List<LogFile>,
    ): Answer =
      lock.withLock {
        fresh(maxAgeMillis) ?: Answer(told(ask), nowMillis(), unchangedBy = last).also { last = it }
      }

    private suspend fun told(ask: suspend () -> List<LogFile>): Map<String, Long>? =
      try {
        ask().associate { it.name to it.sizeBytes }
      } catch (
        @Suppress("SwallowedException") failure: IOException,
      ) {
        // An older node, or one that does not answer; whoever asks for the file itself will hear why.
        null
      }
  }

  /** What a node has told. */
  class Answer(
    /** By name; null where it does not tell. */
    val sizes: Map<String, Long>?,
    val atMillis: Long,
    unchangedBy: Answer?,
  ) {
    /** How often in a row no file had come. */
    val unchanged: Int =
      if (unchangedBy == null ||
        unchangedBy.sizes?.keys != sizes?.keys
      ) {
        0
      } else {
        (unchangedBy.unchanged + 1).coerceAtMost(MAX_DOUBLINGS)
      }
  }

  private companion object {
    const val WORTHWHILE = 8
    const val MIN_AGE_MILLIS = 100L
    const val MAX_DOUBLINGS = 6
  }
}

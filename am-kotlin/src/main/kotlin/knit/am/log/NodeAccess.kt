package knit.am.log

import knit.am.core.AmException
import knit.am.core.Reason
import knit.am.security.Negotiation
import knit.am.security.Negotiator
import java.io.Closeable
import java.io.IOException
import java.net.HttpURLConnection
import java.util.Base64
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLong

/**
 * What the nodes' web servers are told of who asks: nothing, until one of them wants to know; then the same to all.
 *
 * A node that wants Kerberos is shown a ticket's token once, and from then on the cookie that it gave in answer. Where there is
 * no keytab, one node's refusal stands for all of them for [HOPELESS_MILLIS]; then one is asked anew, for nodes are
 * restarted with other configurations while an application runs.
 *
 * @param userName who asks, as nodes are told from the first question on; null: nothing is said unasked
 * @param ownerName who asks, where a node wants to be told a name and believes any
 * @param negotiator null: nothing here proves anything to Kerberos
 * @param nowMillis a clock that never goes back
 */
internal class NodeAccess(
  userName: String?,
  private val ownerName: String? = userName,
  private val negotiator: Negotiator? = null,
  private val nowMillis: () -> Long = { System.nanoTime() / NANOS_PER_MILLI },
) {
  private enum class Way { NOTHING, NAME, KERBEROS }

  @Volatile
  private var way = if (userName == null) Way.NOTHING else Way.NAME

  /** By the node's address. There are no more than the cluster has nodes. */
  private val cookies = ConcurrentHashMap<String, String>()

  /** When to ask again, though that was in vain; 0: nobody was refused. */
  private val hopelessUntilMillis = AtomicLong()

  /** What goes with one request; whoever has sent it closes it. */
  internal class Proof(
    val userName: String? = null,
    val headers: Map<String, String> = emptyMap(),
    val negotiation: Negotiation? = null,
  ) : Closeable {
    override fun close() {
      negotiation?.close()
    }
  }

  /**
   * What goes with the first request to a node.
   *
   * @throws AmException.FailedPrecondition where nodes have refused, and there is nothing else to show them.
   */
  fun first(nodeHttpAddress: String): Proof {
    val until = hopelessUntilMillis.get()
    val mayTry = until == 0L || (nowMillis() >= until && hopelessUntilMillis.compareAndSet(until, nowMillis() + HOPELESS_MILLIS))
    if (!mayTry) throw needsKerberos()
    return when (way) {
      Way.NOTHING -> Proof()
      Way.NAME -> Proof(ownerName)
      Way.KERBEROS -> cookies[nodeHttpAddress]?.let { Proof(headers = mapOf("Cookie" to "$COOKIE=$it")) } ?: negotiated(nodeHttpAddress)
    }
  }

  /**
   * What to try next, after a node has refused [tried] with these challenges; null: nothing.
   *
   * @throws AmException.FailedPrecondition where only Kerberos would help.
   */
  fun next(
    nodeHttpAddress: String,
    tried: Proof,
    challenges: List<String>,
  ): Proof? {
    val schemes = challenges.map { it.substringBefore(' ').lowercase() }
    return when {
      NEGOTIATE.lowercase() in schemes -> {
        if (negotiator == null) {
          hopelessUntilMillis.set(nowMillis() + HOPELESS_MILLIS)
          throw needsKerberos()
        }
        cookies -= nodeHttpAddress
        way = Way.KERBEROS
        if (tried.negotiation == null) negotiated(nodeHttpAddress) else null
      }

      PSEUDO.lowercase() in schemes && tried.userName == null && ownerName != null -> {
        way = Way.NAME
        Proof(ownerName)
      }

      else -> {
        null
      }
    }
  }

  /**
   * A node has answered what was asked with [tried].
   *
   * @throws IOException where it was to prove who it is, and does not.
   */
  fun accepted(
    nodeHttpAddress: String,
    tried: Proof,
    answer: HttpURLConnection,
  ) {
    hopelessUntilMillis.set(0)
    val negotiation = tried.negotiation ?: return
    val proof = answer.fields("WWW-Authenticate").firstOrNull { it.startsWith("$NEGOTIATE ", ignoreCase = true) }
    negotiation.check(proof?.let { decoded(it.substringAfter(' ').trim()) })
    val cookie = answer.fields("Set-Cookie").firstOrNull { it.startsWith("$COOKIE=") } ?: return
    cookies[nodeHttpAddress] = cookie.removePrefix("$COOKIE=").substringBefore(';')
  }

  private fun negotiated(nodeHttpAddress: String): Proof {
    val negotiation = checkNotNull(negotiator).begin(nodeHttpAddress.substringBeforeLast(':'))
    return Proof(
      headers = mapOf("Authorization" to "$NEGOTIATE ${Base64.getEncoder().encodeToString(negotiation.token)}"),
      negotiation = negotiation,
    )
  }

  private fun decoded(text: String): ByteArray =
    try {
      Base64.getDecoder().decode(text)
    } catch (malformed: IllegalArgumentException) {
      throw IOException("the node shows what is no proof of who it is", malformed)
    }

  private fun needsKerberos() =
    AmException.FailedPrecondition(
      "The nodes' web servers show logs only to who proves by Kerberos who they are, and this application has no keytab. " +
        "Read what YARN has collected, on the cluster's file system; or submit with a keytab to follow logs while it runs.",
      Reason.LOGS_NEED_KERBEROS,
    )

  companion object {
    /** Long enough that nodes and their logs do not notice, short enough that people who have changed something do. */
    const val HOPELESS_MILLIS = 60_000L

    /** A node that asks a name, a ticket and then once more is asked no further. */
    const val MAX_TRIES = 3
    private const val NANOS_PER_MILLI = 1_000_000L
    private const val NEGOTIATE = "Negotiate"

    /** Hadoop's word for: say a name, and it is believed. */
    private const val PSEUDO = "PseudoAuth"
    private const val COOKIE = "hadoop.auth"
  }
}

/** All header fields of a name; those of an answer, so that asking for them waits for it. */
internal fun HttpURLConnection.fields(name: String): List<String> =
  try {
    headerFields.filterKeys { it.equals(name, ignoreCase = true) }.values.flatten()
  } catch (
    @Suppress("SwallowedException") cut: IOException,
  ) {
    emptyList()
  }

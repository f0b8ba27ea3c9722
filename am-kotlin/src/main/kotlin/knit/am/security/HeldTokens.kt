package knit.am.security

import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import java.time.Instant

/**
 * The user's tokens that this application holds at present: those that came with the submission, until they are replaced.
 *
 * What is launched is given those of that moment. Any number of callers.
 *
 * A program that submits applications hands on tokens that the RM can renew. Where this application fetches its own, which it
 * renews itself, it is given others for that: those that came with the submission, and from some time on such as were fetched for it.
 *
 * @param own what YARN gave this process
 * @param isReplacing whether tokens are fetched anew before they end
 */
internal class HeldTokens(
  own: Credentials,
  private val isReplacing: Boolean = false,
) {
  @Volatile
  private var present = Present(own.forApplications(), replaced = null)

  @Volatile
  private var forSubmissions = Present(own.forApplications(), replaced = null)

  /** Whether a program has been given any to submit with, of which others are told from then on. */
  @Volatile
  private var submits = false

  /** Whether it may ask the RM what only its clients are told. */
  val hasRmToken: Boolean
    get() = present.hasRmToken

  /**
   * What a container or the driver is given.
   *
   * @param withRmToken whether it may submit and kill whatever its user may
   */
  fun forPrograms(withRmToken: Boolean): Credentials {
    val now = present
    if (!withRmToken) return now.withoutRmToken
    if (!isReplacing) return now.all
    submits = true
    // Under a name of their own: programs that look for a token for some service are to find the one that lives longer.
    return Credentials(now.all).apply { addSecretKey(Text(Secrets.SUBMISSION_TOKENS), forSubmissions.all.serialized().bytes()) }
  }

  /** Until when programs submit with those that came with the submission: the better part of their life. */
  fun lastsForSubmissions(now: Instant): Instant =
    forSubmissions.all.allTokens
      .filter { it.kind in fetchedKinds }
      .map { token -> token.delegation()?.takeIf { it.renewer.length > 0 }?.maxDate ?: 0 }
      .minOrNull()
      .let { end -> now.plusMillis(((end ?: 0) - now.toEpochMilli()).coerceAtLeast(0).times(TokenSchedule.PART).toLong()) }

  /** What is known of each, [MAX_TOLD] at most. The first call after a change takes a while: Hadoop's classes for them are loaded. */
  fun described(): List<TokenDescription> {
    val own = present.described
    val others = if (submits) forSubmissions.described.filterNot { it in own } else emptyList()
    return (own + others).take(MAX_TOLD)
  }

  /**
   * Puts [fresh] ones in the place of those for the same services.
   *
   * Returns them under every name by which they are looked for: Hadoop takes the first of several for one service.
   */
  @Synchronized
  fun replace(fresh: Credentials): Credentials {
    val named = present.named(fresh)
    present = present.with(named)
    return named
  }

  /** Likewise those that programs submit with from now on, which end at [end] unless they do; null where that is not known. */
  @Synchronized
  fun replaceForSubmissions(
    fresh: Credentials,
    end: Instant?,
  ) {
    forSubmissions = forSubmissions.with(forSubmissions.named(fresh), end)
  }

  /**
   * @param replaced what has been fetched so far; null: nothing has, and all that can be is going to be
   * @param ends of what was fetched for submissions, where it is known
   */
  private inner class Present(
    val all: Credentials,
    val replaced: Set<Target>?,
    val ends: Map<Target, Instant?> = emptyMap(),
  ) {
    val hasRmToken = all.allTokens.any { it.kind == RM_TOKEN_KIND }
    val withoutRmToken = all.forContainers()

    val described: List<TokenDescription> by lazy {
      all
        .tokensByAlias()
        .values
        .distinctBy { it.target }
        .sortedBy { "${it.kind} ${it.service}" }
        .take(MAX_TOLD)
        .map { token ->
          val isReplaced = isReplacing && (replaced?.contains(token.target) ?: (token.kind in fetchedKinds))
          token.describe(isReplaced, ends[token.target])
        }
    }

    fun named(fresh: Credentials): Credentials {
      val old = all.tokensByAlias()
      val named = Credentials()
      for ((alias, token) in fresh.tokensByAlias()) {
        val names = old.filterValues { it.target == token.target }.keys
        (names + alias).forEach { named.addToken(it, token) }
      }
      return named
    }

    fun with(
      named: Credentials,
      end: Instant? = null,
    ): Present {
      val targets = named.allTokens.map { it.target }
      return Present(Credentials(all).apply { addAll(named) }, replaced.orEmpty() + targets, ends + targets.associateWith { end })
    }
  }

  companion object {
    const val MAX_TOLD = 128
  }
}

/** What a token is good for. */
private typealias Target = Pair<String, String>

private val Token<out TokenIdentifier>.target: Target
  get() = kind.toString() to service.toString()

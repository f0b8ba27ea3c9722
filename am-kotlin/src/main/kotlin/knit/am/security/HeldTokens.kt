package knit.am.security

import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier

/**
 * The user's tokens that this application holds at present: those that came with the submission, until they are replaced.
 *
 * What is launched is given those of that moment. Any number of callers.
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

  /** Whether it may ask the RM what only its clients are told. */
  val hasRmToken: Boolean
    get() = present.hasRmToken

  /**
   * What a container or the driver is given.
   *
   * @param withRmToken whether it may submit and kill whatever its user may
   */
  fun forPrograms(withRmToken: Boolean): Credentials = present.let { if (withRmToken) it.all else it.withoutRmToken }

  /** What is known of each, [MAX_TOLD] at most. The first call after a change takes a while: Hadoop's classes for them are loaded. */
  fun described(): List<TokenDescription> = present.described

  /**
   * Puts [fresh] ones in the place of those for the same services.
   *
   * Returns them under every name by which they are looked for: Hadoop takes the first of several for one service.
   */
  @Synchronized
  fun replace(fresh: Credentials): Credentials {
    val old = present.all.tokensByAlias()
    val named = Credentials()
    for ((alias, token) in fresh.tokensByAlias()) {
      val names = old.filterValues { it.kind == token.kind && it.service == token.service }.keys
      (names + alias).forEach { named.addToken(it, token) }
    }
    val replaced = present.replaced.orEmpty() + named.allTokens.map { it.target }
    present = Present(Credentials(present.all).apply { addAll(named) }, replaced)
    return named
  }

  /** @param replaced what has been fetched so far; null: nothing has, and all that can be is going to be */
  private inner class Present(
    val all: Credentials,
    val replaced: Set<Target>?,
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
        .map { token -> token.describe(isReplacing && (replaced?.contains(token.target) ?: (token.kind in fetchedKinds))) }
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

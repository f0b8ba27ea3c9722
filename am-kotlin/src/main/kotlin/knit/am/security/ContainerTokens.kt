package knit.am.security

import knit.am.core.ContainerRef
import java.security.MessageDigest
import java.util.Base64
import javax.crypto.Mac
import javax.crypto.spec.SecretKeySpec

/** Whom a token was given to. */
internal data class TokenHolder(
  val container: ContainerRef,
  /** Which container of its rank it is, from 1. */
  val attemptNumber: Int,
)

/**
 * Tokens by which containers prove which one they are.
 *
 * `SERVICE/ORDINAL/ATTEMPT/MAC`: whom it was given to, and an HMAC of that and of [historyId] under [key], in base64 for URLs. Nothing
 * is kept of them, and nothing expires: whether the container is alive is asked of the application with each call. What another
 * history has given is void, for its ordinals are given again.
 *
 * @param key comes with the submission, so that all attempts of the Application Master have the same
 */
internal class ContainerTokens(
  key: ByteArray,
  private val historyId: String,
) {
  private val key = SecretKeySpec(key, ALGORITHM)

  init {
    require(key.size >= MIN_KEY_BYTES) { "The key of containers' tokens has ${key.size} bytes; $MIN_KEY_BYTES are the least." }
  }

  fun of(holder: TokenHolder): String {
    val named = "${holder.container.serviceName}/${holder.container.ordinal}/${holder.attemptNumber}"
    return "$named/${macOf(named)}"
  }

  /** Whom [token] was given to; null if this application gave it to nobody. */
  fun holderOf(token: String): TokenHolder? {
    if (token.length > MAX_TOKEN_CHARACTERS) return null
    val (serviceName, ordinal, attemptNumber, mac) = FORM.matchEntire(token)?.destructured ?: return null
    val expected = macOf(token.substringBeforeLast('/'))
    // Takes the same time wherever they differ.
    if (!MessageDigest.isEqual(mac.toByteArray(), expected.toByteArray())) return null
    return TokenHolder(ContainerRef(serviceName, ordinal.toInt()), attemptNumber.toInt())
  }

  private fun macOf(named: String): String {
    // Not shared: one is for one thread at a time.
    val mac = Mac.getInstance(ALGORITHM).apply { init(key) }
    return Base64.getUrlEncoder().withoutPadding().encodeToString(mac.doFinal("knit-token\n$historyId\n$named".toByteArray()))
  }

  companion object {
    private const val ALGORITHM = "HmacSHA256"
    const val MIN_KEY_BYTES = 32

    /** A service's name has 63 at most, both numbers ten, and the code 43: this is the next round number. */
    const val MAX_TOKEN_CHARACTERS = 256

    /** Of names no more is asked here than that no line ends in them: whether there is such a service, the application knows. */
    private val FORM = Regex("""([-._A-Za-z0-9]{1,63})/(\d{1,9})/(\d{1,9})/([-_A-Za-z0-9]{43})""")
  }
}

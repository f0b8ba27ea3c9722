package knit.am.security

import knit.am.core.ContainerRef
import java.security.MessageDigest
import java.util.Base64
import javax.crypto.Mac
import javax.crypto.spec.SecretKeySpec

/** Whom a token was given to. */
internal sealed interface TokenHolder

internal data class ContainerHolder(
  val container: ContainerRef,
  /** Which container of its rank it is, from 1. */
  val attemptNumber: Int,
) : TokenHolder

/** The program beside the Application Master. */
internal data class DriverHolder(
  /** Of which attempt of the application, from 1: each begins it anew. */
  val attemptNumber: Int,
) : TokenHolder

/**
 * Tokens by which containers, and the driver, prove which one they are.
 *
 * `SERVICE/ORDINAL/ATTEMPT/MAC`, of the driver `driver/ATTEMPT/MAC`: whom it was given to, and an HMAC of that and of [historyId] under
 * [key], in base64 for URLs. Nothing is kept of them, and nothing expires: whether the holder is alive is asked of the application with
 * each call. What another history has given is void, for its ordinals are given again.
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
    val named =
      when (holder) {
        is ContainerHolder -> "${holder.container.serviceName}/${holder.container.ordinal}/${holder.attemptNumber}"
        is DriverHolder -> "driver/${holder.attemptNumber}"
      }
    return "$named/${macOf(named)}"
  }

  /** Whom [token] was given to; null if this application gave it to nobody. */
  fun holderOf(token: String): TokenHolder? {
    if (token.length > MAX_TOKEN_CHARACTERS) return null
    val holder = named(token) ?: return null
    val expected = macOf(token.substringBeforeLast('/'))
    // Takes the same time wherever they differ.
    return holder.takeIf { MessageDigest.isEqual(token.substringAfterLast('/').toByteArray(), expected.toByteArray()) }
  }

  /** Whom [token] names, whoever made it. */
  private fun named(token: String): TokenHolder? {
    DRIVER_FORM.matchEntire(token)?.let { return DriverHolder(it.groupValues[1].toInt()) }
    val (serviceName, ordinal, attemptNumber) = FORM.matchEntire(token)?.destructured ?: return null
    return ContainerHolder(ContainerRef(serviceName, ordinal.toInt()), attemptNumber.toInt())
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
    private val FORM = Regex("""([-._A-Za-z0-9]{1,63})/(\d{1,9})/(\d{1,9})/[-_A-Za-z0-9]{43}""")

    /** A part fewer than a container's, so that a service may have the name. */
    private val DRIVER_FORM = Regex("""driver/(\d{1,9})/[-_A-Za-z0-9]{43}""")
  }
}

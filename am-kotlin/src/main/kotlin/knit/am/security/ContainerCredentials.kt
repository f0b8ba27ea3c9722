package knit.am.security

/**
 * The files by which a program that the application runs reaches the Application Master: the same that clients outside are given, and a token.
 *
 * They are written where it runs, by its launch; docs/clients.md says what each is.
 */
internal class ContainerCredentials(
  private val applicationId: String,
  private val tls: Tls,
  private val keys: ContainerKeys,
  private val tokens: ContainerTokens,
) {
  /** By name. */
  fun of(
    holder: TokenHolder,
    masterAddress: String,
  ): Map<String, String> =
    mapOf(
      "application_id" to applicationId,
      "address" to masterAddress,
      "server_name" to tls.serverName,
      "ca.pem" to String(tls.authority),
      "cert.pem" to String(keys.certificate),
      "key.pem" to String(keys.key),
      "token" to tokens.of(holder),
    )
}

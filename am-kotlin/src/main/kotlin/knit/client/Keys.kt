package knit.client

import knit.am.core.Role
import knit.am.security.ClientRoles
import java.math.BigInteger
import java.security.GeneralSecurityException
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.MessageDigest
import java.security.PrivateKey
import java.security.SecureRandom
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec
import java.time.Instant
import java.util.Base64

/**
 * The certificates of one application, each as PEM: the same as those the Python SDK makes.
 *
 * Each application has an authority of its own. It signs the Application Master's certificate and one for each role of its
 * clients, and its key is then forgotten, so that nobody can sign another one.
 *
 * Written here and not taken from a library: what Java has is not public, and Bouncy Castle is as large as all of knit.
 */
internal class Keys private constructor(
  /** The authority's certificate, by which both sides know each other. */
  val authority: String,
  /** The Application Master's certificate and private key. */
  val server: KeyedCertificate,
  /** The clients', by what they may do. */
  val clients: Map<Role, KeyedCertificate>,
  /** With which the Application Master makes the tokens of containers. */
  val tokenKey: ByteArray,
) {
  /** The owner's, with which everything may be done. */
  val client: KeyedCertificate
    get() = clients.getValue(Role.OWNER)

  /** A certificate and its private key, as PKCS #8. */
  class KeyedCertificate(
    val certificate: String,
    val key: String,
  )

  companion object {
    /** What the Application Master's certificate names, whichever node it runs on. */
    const val SERVER_NAME = "knit-application-master"

    private const val TOKEN_KEY_BYTES = 32

    // Kinds of alternative names, by their numbers in X.509.
    private const val DNS_NAME = 2
    private const val URI = 6
    private const val AUTHORITY_NAME = "knit application authority"
    private const val SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1"
    private const val CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2"

    /** Throws [RefusedException] where this Java knows no elliptic curves. */
    fun generate(): Keys =
      try {
        val authority = newKeys()
        val certificates = CertificateWriter(AUTHORITY_NAME, authority)
        Keys(
          authority = pem("CERTIFICATE", certificates.ofAuthority()),
          server = signed(certificates, SERVER_NAME, SERVER_AUTHENTICATION),
          clients =
            Role.entries.associateWith { role ->
              signed(certificates, nameOf(role), CLIENT_AUTHENTICATION, ClientRoles.uriOf(role))
            },
          tokenKey = ByteArray(TOKEN_KEY_BYTES).also(SecureRandom()::nextBytes),
        )
      } catch (unable: GeneralSecurityException) {
        throw RefusedException("This Java cannot make keys of the curve P-256 (${unable.message}): use another one.", unable)
      }

    private fun nameOf(role: Role) = "knit-${role.name.lowercase()}"

    /** With [uri] as its alternative name if there is one, else with [name]. */
    private fun signed(
      certificates: CertificateWriter,
      name: String,
      usage: String,
      uri: String? = null,
    ): KeyedCertificate {
      val keys = newKeys()
      val alternative = if (uri == null) Der.implicit(DNS_NAME, name.toByteArray()) else Der.implicit(URI, uri.toByteArray())
      return KeyedCertificate(pem("CERTIFICATE", certificates.of(name, keys, usage, alternative)), pem("PRIVATE KEY", keys.private.encoded))
    }

    private fun newKeys(): KeyPair =
      KeyPairGenerator.getInstance("EC").apply { initialize(ECGenParameterSpec("secp256r1")) }.generateKeyPair()

    private fun pem(
      label: String,
      der: ByteArray,
    ): String =
      "-----BEGIN $label-----\n${Base64.getMimeEncoder(64, byteArrayOf('\n'.code.toByte())).encodeToString(der)}\n-----END $label-----\n"
  }
}

/** Writes X.509 certificates that one authority signs. */
private class CertificateWriter(
  private val authorityName: String,
  private val authority: KeyPair,
) {
  private val random = SecureRandom()

  /** The authority's own certificate: it may sign others, but none that sign. */
  fun ofAuthority(): ByteArray =
    certificate(
      authorityName,
      authority,
      basicConstraints(Der.bool(true), Der.integer(0)),
      extension(KEY_USAGE, Der.bits(byteArrayOf(SIGNS_CERTIFICATES), unused = 1), critical = true),
    )

  fun of(
    name: String,
    keys: KeyPair,
    usage: String,
    alternativeName: ByteArray,
  ): ByteArray =
    certificate(
      name,
      keys,
      basicConstraints(),
      extension(KEY_USAGE, Der.bits(byteArrayOf(SIGNS_MESSAGES), unused = 7), critical = true),
      extension(EXTENDED_KEY_USAGE, Der.sequence(Der.oid(usage))),
      extension(SUBJECT_ALTERNATIVE_NAME, Der.sequence(alternativeName)),
      extension(AUTHORITY_KEY_IDENTIFIER, Der.sequence(Der.implicit(0, identifier(authority)))),
    )

  private fun certificate(
    name: String,
    keys: KeyPair,
    vararg extensions: ByteArray,
  ): ByteArray {
    val unsigned =
      Der.sequence(
        Der.explicit(0, Der.integer(VERSION_3)),
        Der.integer(BigInteger(SERIAL_BITS, random).max(BigInteger.ONE)),
        Der.sequence(Der.oid(ECDSA_WITH_SHA256)),
        distinguishedName(authorityName),
        Der.sequence(Der.time(NOT_BEFORE), Der.time(NOT_AFTER)),
        distinguishedName(name),
        keys.public.encoded,
        Der.explicit(3, Der.sequence(extension(SUBJECT_KEY_IDENTIFIER, Der.octets(identifier(keys))), *extensions)),
      )
    return Der.sequence(unsigned, Der.sequence(Der.oid(ECDSA_WITH_SHA256)), Der.bits(signature(unsigned, authority.private)))
  }

  private fun signature(
    content: ByteArray,
    key: PrivateKey,
  ): ByteArray =
    Signature.getInstance("SHA256withECDSA").run {
      initSign(key, random)
      update(content)
      sign()
    }

  private fun distinguishedName(name: String) = Der.sequence(Der.set(Der.sequence(Der.oid(COMMON_NAME), Der.text(name))))

  private fun basicConstraints(vararg content: ByteArray) = extension(BASIC_CONSTRAINTS, Der.sequence(*content), critical = true)

  private fun extension(
    oid: String,
    content: ByteArray,
    critical: Boolean = false,
  ): ByteArray =
    if (critical) {
      Der.sequence(Der.oid(oid), Der.bool(true), Der.octets(content))
    } else {
      Der.sequence(Der.oid(oid), Der.octets(content))
    }

  /** What a key is known by: SHA-1 of the point, as RFC 5280 proposes. It is a name, and secures nothing. */
  private fun identifier(keys: KeyPair): ByteArray {
    val point = (keys.public as ECPublicKey).w
    val content = byteArrayOf(UNCOMPRESSED_POINT) + coordinate(point.affineX) + coordinate(point.affineY)
    return MessageDigest.getInstance("SHA-1").digest(content)
  }

  private fun coordinate(value: BigInteger): ByteArray {
    val bytes = value.toByteArray().takeLast(COORDINATE_BYTES).toByteArray()
    return ByteArray(COORDINATE_BYTES - bytes.size) + bytes
  }

  private companion object {
    // Keys are new with each application and end with it, so no clock decides about them: one that is days off must not.
    val NOT_BEFORE: Instant = Instant.EPOCH

    /** What RFC 5280 has for certificates without an end. */
    val NOT_AFTER: Instant = Instant.parse("9999-12-31T23:59:59Z")
    const val VERSION_3 = 2L
    const val SERIAL_BITS = 159
    const val COORDINATE_BYTES = 32
    const val UNCOMPRESSED_POINT: Byte = 4

    // Bits of the key usage, from the left: the first, and the sixth and seventh.
    const val SIGNS_MESSAGES: Byte = -128
    const val SIGNS_CERTIFICATES: Byte = 6

    const val COMMON_NAME = "2.5.4.3"
    const val ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"
    const val SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
    const val KEY_USAGE = "2.5.29.15"
    const val SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"
    const val BASIC_CONSTRAINTS = "2.5.29.19"
    const val AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
    const val EXTENDED_KEY_USAGE = "2.5.29.37"
  }
}

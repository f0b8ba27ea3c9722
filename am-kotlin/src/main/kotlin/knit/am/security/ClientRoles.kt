package knit.am.security

import knit.am.core.Role
import java.security.MessageDigest
import java.security.cert.CertificateParsingException
import java.security.cert.X509Certificate

/** A certificate's SHA-256, in small hexadecimal digits. */
@JvmInline
value class Fingerprint(
  val hex: String,
) {
  companion object {
    const val BYTES = 32

    fun of(certificate: X509Certificate): Fingerprint = of(MessageDigest.getInstance("SHA-256").digest(certificate.encoded))

    fun of(digest: ByteArray): Fingerprint = Fingerprint(digest.joinToString("") { "%02x".format(it) })
  }
}

/** A client that brings a certificate of its own, which no authority of the application has signed. */
data class ClientGrant(
  val fingerprint: Fingerprint,
  /** Not [Role.CONTAINER]: containers are known by their tokens. */
  val role: Role,
)

/** Each is looked at whenever somebody connects, and an application is shared by a team, not by a town. */
internal const val MAX_CLIENT_GRANTS = 100

/**
 * Which role a certificate stands for.
 *
 * One that the authority has signed says so itself, with a URI among its alternative names: `knit:role/viewer`. There, and
 * not in the subject, for a subject is made for people and has a spelling for each program that prints it, while an alternative
 * name is compared byte by byte. A certificate that the submission names has the role that the submission says.
 */
internal class ClientRoles(
  grants: Collection<ClientGrant> = emptyList(),
) {
  private val granted = grants.associate { it.fingerprint to it.role }

  /** Null where it says none, several, or one that is not known. */
  fun of(certificate: X509Certificate): Role? = granted[Fingerprint.of(certificate)] ?: saidBy(certificate)

  private fun saidBy(certificate: X509Certificate): Role? {
    val names =
      try {
        certificate.subjectAlternativeNames.orEmpty()
      } catch (
        @Suppress("SwallowedException") malformed: CertificateParsingException,
      ) {
        return null
      }
    val said = names.filter { it[0] == URI }.map { it[1].toString() }.filter { it.startsWith(PREFIX) }
    return said.singleOrNull()?.let { uri -> Role.entries.firstOrNull { uriOf(it) == uri } }
  }

  companion object {
    private const val PREFIX = "knit:role/"

    /** The kind of alternative name, by its number in X.509. */
    private const val URI = 6

    /** How a certificate says that its holder has [role]. */
    fun uriOf(role: Role): String = PREFIX + role.name.lowercase()
  }
}

package knit.client

import knit.am.security.ClientRoles
import knit.am.security.word
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.math.BigInteger
import java.nio.file.Path
import java.security.KeyFactory
import java.security.Signature
import java.security.SignatureException
import java.security.cert.CertPathValidator
import java.security.cert.CertificateFactory
import java.security.cert.PKIXParameters
import java.security.cert.TrustAnchor
import java.security.cert.X509Certificate
import java.security.interfaces.ECPublicKey
import java.security.spec.PKCS8EncodedKeySpec
import java.time.Instant
import java.util.Base64
import java.util.concurrent.TimeUnit

/** Certificates that we write ourselves, read by those who know how: Java's own X.509, and OpenSSL. */
class KeysTest {
  private val keys = Keys.generate()
  private val authority = certificate(keys.authority)
  private val server = certificate(keys.server.certificate)
  private val clients = keys.clients.mapValues { certificate(it.value.certificate) }

  private fun certificate(pem: String) =
    CertificateFactory.getInstance("X.509").generateCertificate(pem.byteInputStream()) as X509Certificate

  private fun privateKey(pem: String) =
    KeyFactory
      .getInstance(
        "EC",
      ).generatePrivate(
        PKCS8EncodedKeySpec(
          Base64.getMimeDecoder().decode(
            pem
              .lines()
              .drop(1)
              .dropLast(2)
              .joinToString(""),
          ),
        ),
      )

  @Test
  fun allAreTrustedByTheirAuthorityAndByNoOther() {
    val factory = CertificateFactory.getInstance("X.509")
    for (each in clients.values + server) {
      val path = factory.generateCertPath(listOf(each))
      val trusted = PKIXParameters(setOf(TrustAnchor(authority, null))).apply { isRevocationEnabled = false }
      CertPathValidator.getInstance("PKIX").validate(path, trusted)
      assertThrows(SignatureException::class.java) { each.verify(certificate(Keys.generate().authority).publicKey) }
    }
  }

  private data class Said(
    val certificate: X509Certificate,
    val name: String,
    val alternativeName: List<Any>,
    val usage: String,
  )

  @Test
  fun theirRolesAreThoseThatAnApplicationMasterReads() {
    for ((role, certificate) in clients) assertEquals(role, ClientRoles().of(certificate))
    assertEquals(null, ClientRoles().of(server))
    assertEquals(32, keys.tokenKey.size)
    assertFalse(keys.tokenKey.contentEquals(Keys.generate().tokenKey))
  }

  @Test
  fun theySayWhatTheyAreFor() {
    assertEquals("CN=knit application authority", authority.subjectX500Principal.name)
    assertEquals(0, authority.basicConstraints)
    assertEquals(listOf(5, 6), authority.keyUsage.indices.filter { authority.keyUsage[it] })
    val ofClients = clients.map { (role, it) -> Said(it, "knit-${role.word}", listOf(6, "knit:role/${role.word}"), "1.3.6.1.5.5.7.3.2") }
    val table = ofClients + Said(server, "knit-application-master", listOf(2, "knit-application-master"), "1.3.6.1.5.5.7.3.1")
    assertEquals(setOf("owner", "operator", "viewer", "container"), clients.keys.map { it.word }.toSet())
    for ((certificate, name, alternativeName, usage) in table) {
      assertEquals("CN=$name", certificate.subjectX500Principal.name)
      assertEquals(authority.subjectX500Principal, certificate.issuerX500Principal)
      assertEquals(listOf(alternativeName), certificate.subjectAlternativeNames.toList())
      assertEquals(listOf(usage), certificate.extendedKeyUsage)
      assertEquals(listOf(0), certificate.keyUsage.indices.filter { certificate.keyUsage[it] })
      assertEquals(-1, certificate.basicConstraints)
      assertEquals(setOf("2.5.29.15", "2.5.29.19"), certificate.criticalExtensionOIDs)
      // The authority's identifier, but for the tags and lengths around both.
      assertArrayEquals(
        authority.getExtensionValue("2.5.29.14").takeLast(20).toByteArray(),
        certificate.getExtensionValue("2.5.29.35").takeLast(20).toByteArray(),
      )
    }
    for (each in clients.values + authority + server) {
      assertEquals(3, each.version)
      assertEquals("SHA256withECDSA", each.sigAlgName)
      assertEquals(256, (each.publicKey as ECPublicKey).params.order.bitLength())
      assertTrue(each.serialNumber > BigInteger.ZERO && each.serialNumber.bitLength() <= 159)
      // Whatever a clock says.
      assertEquals(Instant.EPOCH, each.notBefore.toInstant())
      assertEquals(Instant.parse("9999-12-31T23:59:59Z"), each.notAfter.toInstant())
    }
  }

  @Test
  fun eachPrivateKeyBelongsToItsCertificate() {
    for ((pair, certificate) in keys.clients.map { (role, pair) -> pair to clients.getValue(role) } + (keys.server to server)) {
      val signature =
        Signature.getInstance("SHA256withECDSA").run {
          initSign(privateKey(pair.key))
          update(1)
          sign()
        }
      val verified =
        Signature.getInstance("SHA256withECDSA").run {
          initVerify(certificate)
          update(1)
          verify(signature)
        }
      assertTrue(verified)
    }
    assertEquals(5, (keys.clients.values + keys.server).distinctBy { it.key }.size)
  }

  @Test
  fun openSslTrustsThem(
    @TempDir directory: Path,
  ) {
    fun openssl(vararg arguments: String): Pair<Int, String> {
      val process = ProcessBuilder("openssl", *arguments).directory(directory.toFile()).redirectErrorStream(true).start()
      val said = process.inputStream.reader().readText()
      assertTrue(process.waitFor(20, TimeUnit.SECONDS))
      return process.exitValue() to said
    }
    assumeTrue(System.getenv("PATH").split(':').any { Path.of(it, "openssl").toFile().canExecute() }, "there is no OpenSSL here")

    fun write(
      name: String,
      text: String,
    ) = directory.resolve(name).toFile().writeText(text)
    write("ca", keys.authority)
    for ((name, pair, purpose) in listOf(Triple("server", keys.server, "sslserver"), Triple("client", keys.client, "sslclient"))) {
      write("$name.pem", pair.certificate)
      write("$name.key", pair.key)
      assertEquals(0 to "$name.pem: OK\n", openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca", "$name.pem"))
      assertEquals(openssl("x509", "-noout", "-pubkey", "-in", "$name.pem"), openssl("pkey", "-pubout", "-in", "$name.key"))
    }
  }

  @Test
  fun numbersAndTimesAreEncodedAsTheStandardSays() {
    fun hex(bytes: ByteArray) = bytes.joinToString("") { "%02x".format(it) }
    assertEquals("020100", hex(Der.integer(0)))
    assertEquals("02020080", hex(Der.integer(128)))
    assertEquals("06082a8648ce3d040302", hex(Der.oid("1.2.840.10045.4.3.2")))
    assertEquals("170d3439313233313233353935395a", hex(Der.time(Instant.parse("2049-12-31T23:59:59Z"))))
    assertEquals("180f32303530303130313030303030305a", hex(Der.time(Instant.parse("2050-01-01T00:00:00Z"))))
    assertEquals("0481c8", hex(Der.octets(ByteArray(200))).take(6))
    assertEquals("04820100", hex(Der.octets(ByteArray(256))).take(8))
  }
}

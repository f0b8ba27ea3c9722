package knit.am.security

import io.grpc.ServerCredentials
import io.grpc.netty.GrpcSslContexts
import io.grpc.netty.NettySslContextServerCredentials
import io.netty.handler.ssl.ClientAuth
import io.netty.handler.ssl.DelegatingSslContext
import io.netty.handler.ssl.SslContext
import io.netty.handler.ssl.SslContextBuilder
import io.netty.handler.ssl.SslProvider
import io.netty.handler.ssl.SupportedCipherSuiteFilter
import java.security.KeyFactory
import java.security.PrivateKey
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import java.security.spec.InvalidKeySpecException
import java.security.spec.PKCS8EncodedKeySpec
import java.util.Base64
import javax.net.ssl.SSLEngine

/** The keys of one application: its certificate authority, and the Application Master's certificate and key, as PEM. */
class Tls(
  val authority: ByteArray,
  private val certificate: ByteArray,
  private val key: ByteArray,
) {
  /** The name in the Application Master's certificate, by which clients know it wherever it runs. */
  val serverName: String by lazy {
    val names = certificatesOf(certificate).first().subjectAlternativeNames.orEmpty()
    names.firstOrNull { it[0] == DNS_NAME }?.get(1)?.toString() ?: SERVER_NAME
  }

  /**
   * What a server needs for mutual TLS: whoever has no certificate of this application's authority gets no answer, nor one of those
   * that are [pinned].
   *
   * The keys never touch a disk.
   */
  fun serverCredentials(pinned: Set<Fingerprint> = emptySet()): ServerCredentials {
    // Read by the JDK: netty's own reader would look for BouncyCastle, of which clusters have many versions.
    val builder =
      SslContextBuilder
        .forServer(privateKeyOf(key), *certificatesOf(certificate))
        .trustManager(PinnedTrust(certificatesOf(authority), pinned))
        .clientAuth(ClientAuth.REQUIRE)
    val context =
      GrpcSslContexts
        .configure(builder, SslProvider.JDK)
        .protocols(PROTOCOLS.filter { it != TLS_1_3 || SslProvider.isTlsv13Supported(SslProvider.JDK) })
        .ciphers(CIPHERS, SupportedCipherSuiteFilter.INSTANCE)
        .build()
    return NettySslContextServerCredentials.create(OwnOrder(context))
  }

  /** Takes the first of our ciphers that the client has; Java 8 would take the client's first. */
  private class OwnOrder(
    context: SslContext,
  ) : DelegatingSslContext(context) {
    override fun initEngine(engine: SSLEngine) {
      engine.sslParameters = engine.sslParameters.apply { useCipherSuitesOrder = true }
    }
  }

  private companion object {
    const val SERVER_NAME = "knit-application-master"

    /** The kind of alternative name, by its number in X.509. */
    const val DNS_NAME = 2
    const val TLS_1_3 = "TLSv1.3"

    /** Java 8 has TLS 1.3 since 8u261. */
    val PROTOCOLS = listOf(TLS_1_3, "TLSv1.2")

    /**
     * Those that HTTP/2 allows, what is cheapest for us first: the JVM runs with its first compiler only, which knows no
     * instructions for AES, and is five times as fast with ChaCha20. What a JVM does not have is left out.
     */
    val CIPHERS =
      listOf(
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
      )
  }
}

private fun certificatesOf(pem: ByteArray): Array<X509Certificate> =
  CertificateFactory
    .getInstance("X.509")
    .generateCertificates(pem.inputStream())
    .map { it as X509Certificate }
    .toTypedArray()

/** A key in PKCS #8, which is what both clients write. */
private fun privateKeyOf(pem: ByteArray): PrivateKey {
  val text = String(pem, Charsets.US_ASCII)
  val body = text.substringAfter("-----BEGIN PRIVATE KEY-----").substringBefore("-----END PRIVATE KEY-----")
  val spec = PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(body))
  return try {
    KeyFactory.getInstance("EC").generatePrivate(spec)
  } catch (
    @Suppress("SwallowedException") other: InvalidKeySpecException,
  ) {
    KeyFactory.getInstance("RSA").generatePrivate(spec)
  }
}

package knit.am.security

import io.grpc.ServerCredentials
import io.grpc.TlsServerCredentials

/** The keys of one application: its certificate authority, and the Application Master's certificate and key, as PEM. */
class Tls(
  private val authority: ByteArray,
  private val certificate: ByteArray,
  private val key: ByteArray,
) {
  /**
   * What a server needs for mutual TLS: whoever has no certificate of this application's authority gets no answer.
   *
   * The keys never touch a disk.
   */
  fun serverCredentials(): ServerCredentials =
    TlsServerCredentials
      .newBuilder()
      .keyManager(certificate.inputStream(), key.inputStream())
      .trustManager(authority.inputStream())
      .clientAuth(TlsServerCredentials.ClientAuth.REQUIRE)
      .build()
}

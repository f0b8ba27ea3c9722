package knit.am.security

import java.net.Socket
import java.security.KeyStore
import java.security.cert.CertificateException
import java.security.cert.X509Certificate
import javax.net.ssl.SSLEngine
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509ExtendedTrustManager

/**
 * Trusts clients whose certificate [authority] has signed, and those that are named one by one, by their digest.
 *
 * Of the latter nothing else is looked at, neither dates nor who signed them: whoever named them has decided. That a client has the
 * certificate's key is proven by TLS itself.
 */
internal class PinnedTrust(
  authority: Array<X509Certificate>,
  private val pinned: Set<Fingerprint>,
) : X509ExtendedTrustManager() {
  private val signed: X509ExtendedTrustManager

  init {
    val store = KeyStore.getInstance(KeyStore.getDefaultType()).apply { load(null, null) }
    authority.forEachIndexed { number, certificate -> store.setCertificateEntry("$number", certificate) }
    val factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm()).apply { init(store) }
    signed = factory.trustManagers.filterIsInstance<X509ExtendedTrustManager>().first()
  }

  private fun isPinned(chain: Array<X509Certificate>) = pinned.isNotEmpty() && Fingerprint.of(chain[0]) in pinned

  override fun checkClientTrusted(
    chain: Array<X509Certificate>,
    authType: String,
  ) {
    if (!isPinned(chain)) signed.checkClientTrusted(chain, authType)
  }

  override fun checkClientTrusted(
    chain: Array<X509Certificate>,
    authType: String,
    socket: Socket,
  ) {
    if (!isPinned(chain)) signed.checkClientTrusted(chain, authType, socket)
  }

  override fun checkClientTrusted(
    chain: Array<X509Certificate>,
    authType: String,
    engine: SSLEngine,
  ) {
    if (!isPinned(chain)) signed.checkClientTrusted(chain, authType, engine)
  }

  override fun checkServerTrusted(
    chain: Array<X509Certificate>,
    authType: String,
  ): Unit = throw aServerAlready()

  override fun checkServerTrusted(
    chain: Array<X509Certificate>,
    authType: String,
    socket: Socket,
  ): Unit = throw aServerAlready()

  override fun checkServerTrusted(
    chain: Array<X509Certificate>,
    authType: String,
    engine: SSLEngine,
  ): Unit = throw aServerAlready()

  private fun aServerAlready() = CertificateException("The Application Master is a server, and connects to none with these keys.")

  /** None: clients are told these names, and many keep a certificate to themselves that none of these has signed. */
  override fun getAcceptedIssuers(): Array<X509Certificate> = emptyArray()
}

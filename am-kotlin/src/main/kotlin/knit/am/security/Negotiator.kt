package knit.am.security

import org.ietf.jgss.GSSContext
import org.ietf.jgss.GSSException
import org.ietf.jgss.GSSManager
import org.ietf.jgss.GSSName
import org.ietf.jgss.Oid
import java.io.Closeable
import java.io.IOException
import java.security.PrivilegedExceptionAction

/** Proves to web servers by Kerberos who asks. Blocks; any number of callers. */
internal fun interface Negotiator {
  /** @throws IOException where it cannot be proven. */
  fun begin(host: String): Negotiation
}

/** One proof, for one request: a server takes none twice. */
internal interface Negotiation : Closeable {
  /** What the server is shown. */
  val token: ByteArray

  /**
   * Checks that the server is who it was taken for.
   *
   * @param answer what it has shown in return; null: nothing
   * @throws IOException where it is not.
   */
  fun check(answer: ByteArray?)
}

/** By SPNEGO, as the principal of a keytab. */
internal class KeytabNegotiator(
  private val login: KeytabLogin,
) : Negotiator {
  override fun begin(host: String): Negotiation =
    login.user().doAs(
      PrivilegedExceptionAction {
        try {
          val manager = GSSManager.getInstance()
          val server = manager.createName("HTTP@$host", GSSName.NT_HOSTBASED_SERVICE)
          val context = manager.createContext(server, Oid(SPNEGO), null, GSSContext.DEFAULT_LIFETIME)
          context.requestMutualAuth(true)
          SpnegoNegotiation(host, context, context.initSecContext(ByteArray(0), 0, 0))
        } catch (refused: GSSException) {
          throw IOException("Kerberos has no ticket for HTTP/$host: ${refused.message}", refused)
        }
      },
    )

  private class SpnegoNegotiation(
    private val host: String,
    private val context: GSSContext,
    override val token: ByteArray,
  ) : Negotiation {
    override fun check(answer: ByteArray?) {
      try {
        if (answer != null) context.initSecContext(answer, 0, answer.size)
      } catch (wrong: GSSException) {
        throw IOException("$host does not prove that it is HTTP/$host: ${wrong.message}", wrong)
      }
      if (!context.isEstablished) throw IOException("$host does not prove that it is HTTP/$host")
    }

    override fun close() {
      try {
        context.dispose()
      } catch (
        @Suppress("SwallowedException") gone: GSSException,
      ) {
        // It is of no use any more, and holds nothing but memory.
      }
    }
  }

  private companion object {
    const val SPNEGO = "1.3.6.1.5.5.2"
  }
}

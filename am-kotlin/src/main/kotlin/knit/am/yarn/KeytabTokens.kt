package knit.am.yarn

import knit.am.security.KeytabLogin
import knit.am.security.TokenSource
import knit.am.security.TokenUse
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.FileSystem
import org.apache.hadoop.fs.Path
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.apache.hadoop.yarn.client.ClientRMProxy
import org.apache.hadoop.yarn.client.api.YarnClient
import org.apache.hadoop.yarn.client.util.YarnClientUtils
import org.apache.hadoop.yarn.conf.YarnConfiguration
import org.apache.hadoop.yarn.util.ConverterUtils
import java.io.IOException
import java.net.URI
import java.security.PrivilegedExceptionAction
import java.time.Instant

/**
 * Delegation tokens by the keytab that came with the submission. Their renewer is the keytab's principal, or the RM's.
 *
 * @param urls file systems beside the cluster's own, with or without a path
 * @param withoutRenewer those of them that the RM cannot reach, as they were named
 * @param withRm whether the RM's are fetched as well
 */
internal class KeytabTokens(
  private val login: KeytabLogin,
  nodeConfiguration: Lazy<Configuration>,
  private val urls: List<String>,
  private val withoutRenewer: Set<String>,
  private val withRm: () -> Boolean,
) : TokenSource {
  private val configuration by lazy { quickToGiveUp(nodeConfiguration.value) }

  override fun places(): List<String> {
    val fileSystems = listOf(own) + urls.map(::fileSystem)
    val roots = fileSystems.filter { it.scheme != LOCAL }.map { it.root }
    return roots.distinct() + if (withRm()) listOf(RESOURCE_MANAGER) else emptyList()
  }

  override fun fetch(
    place: String,
    use: TokenUse,
  ): Credentials =
    asPrincipal { name ->
      val renewer = if (use == TokenUse.OWN) name else renewerOfSubmissions(place)
      Credentials().also { fresh -> if (place == RESOURCE_MANAGER) fetchOfRm(renewer, fresh) else fetchOf(URI(place), renewer, fresh) }
    }

  override fun renew(token: Token<out TokenIdentifier>): Instant = asPrincipal { Instant.ofEpochMilli(token.renew(configuration)) }

  private val own by lazy { FileSystem.getDefaultUri(configuration) }

  private fun fileSystem(url: String): URI = Path(url).toUri().let { if (it.scheme == null) own else it }

  private val URI.root
    get() = "$scheme://${authority.orEmpty()}"

  /** The RM begins with renewing what names a renewer, and refuses the application if it cannot. */
  private fun renewerOfSubmissions(place: String): String =
    if (withoutRenewer.any { fileSystem(it).root == place }) {
      ""
    } else {
      YarnClientUtils.getRmPrincipal(configuration)
        ?: throw IOException("the node's configuration names no ${YarnConfiguration.RM_PRINCIPAL}, who would renew them")
    }

  /** With those of the key servers that it names. */
  private fun fetchOf(
    root: URI,
    renewer: String,
    fresh: Credentials,
  ) {
    // A client of its own: those that others share belong to whoever asked for them first.
    FileSystem.newInstance(root, configuration).use { it.addDelegationTokens(renewer, fresh) }
  }

  private fun fetchOfRm(
    renewer: String,
    fresh: Credentials,
  ) {
    val client = YarnClient.createYarnClient()
    client.use {
      it.init(configuration)
      it.start()
      val service = ClientRMProxy.getRMDelegationTokenService(configuration)
      val token = ConverterUtils.convertFromYarn<TokenIdentifier>(it.getRMDelegationToken(Text(renewer)), service)
      fresh.addToken(token.service, token)
    }
  }

  private fun <A> asPrincipal(work: (String) -> A): A = login.user().run { doAs(PrivilegedExceptionAction { work(userName) }) }

  private companion object {
    const val RESOURCE_MANAGER = "the ResourceManager"
    const val LOCAL = "file"

    /** Returns the node's configuration, changed so that a server that is away is tried again later, and others meanwhile. */
    fun quickToGiveUp(configuration: Configuration): Configuration =
      YarnConfiguration(configuration).apply {
        setLong("yarn.resourcemanager.connect.max-wait.ms", 30_000)
        setInt("ipc.client.connect.max.retries", 3)
        setInt("ipc.client.connect.max.retries.on.timeouts", 1)
        // This application writes no timeline, and its client asks for classes that many clusters lack.
        setBoolean("yarn.timeline-service.enabled", false)
      }
  }
}

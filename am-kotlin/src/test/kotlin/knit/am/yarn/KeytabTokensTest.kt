package knit.am.yarn

import knit.am.security.KeytabLogin
import knit.am.security.TokenUse
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.RawLocalFileSystem
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.IOException
import java.net.URI
import java.nio.file.Path

/** Whose tokens are fetched, and who is to renew them; with real ones it is held by the suite's clusters with Kerberos. */
class KeytabTokensTest {
  @TempDir
  lateinit var directory: Path
  private val configuration =
    Configuration(false).apply {
      set("fs.defaultFS", "fake://one")
      set("fs.fake.impl", FakeFileSystem::class.java.name)
      set("yarn.resourcemanager.principal", "rm/host@EXAMPLE.COM")
    }

  private fun tokens(
    vararg urls: String,
    withoutRenewer: Set<String> = emptySet(),
    withRm: Boolean = false,
  ): KeytabTokens {
    val login = KeytabLogin("ann@EXAMPLE.COM", ByteArray(0), directory, lazyOf(configuration)) { 0 }
    return KeytabTokens(login, lazyOf(configuration), urls.toList(), withoutRenewer) { withRm }
  }

  private fun KeytabTokens.renewerAt(
    place: String,
    use: TokenUse,
  ) = String(fetch(place, use).allTokens.single().identifier)

  @Test
  fun eachFileSystemIsAskedOnceHoweverOftenItIsNamed() {
    val named = tokens("fake://two/a/b", "fake://two", "/on/our/own", "file:///tmp/x", "fake://three")
    assertEquals(listOf("fake://one", "fake://two", "fake://three"), named.places())
    assertEquals(listOf("fake://one", "the ResourceManager"), tokens(withRm = true).places())
  }

  @Test
  fun ourOwnAreRenewedByUsAndThoseToSubmitWithByTheResourceManager() {
    val tokens = tokens()
    val us = UserGroupInformation.getCurrentUser().userName
    assertEquals(us, tokens.renewerAt("fake://one", TokenUse.OWN))
    assertEquals("rm/host@EXAMPLE.COM", tokens.renewerAt("fake://one", TokenUse.SUBMISSION))
  }

  @Test
  fun whatTheResourceManagerCannotReachHasNoRenewer() {
    val tokens = tokens("fake://two/a", withoutRenewer = setOf("fake://two/a"))
    assertEquals("", tokens.renewerAt("fake://two", TokenUse.SUBMISSION))
    assertEquals("rm/host@EXAMPLE.COM", tokens.renewerAt("fake://one", TokenUse.SUBMISSION))
    assertEquals("", tokens(withoutRenewer = setOf("/on/our/own")).renewerAt("fake://one", TokenUse.SUBMISSION))
  }

  @Test
  fun aNodeThatDoesNotKnowTheResourceManagersPrincipalIsTold() {
    configuration.unset("yarn.resourcemanager.principal")
    val refused = assertThrows<IOException> { tokens().fetch("fake://one", TokenUse.SUBMISSION) }
    assertTrue("yarn.resourcemanager.principal" in refused.message.orEmpty(), refused.message)
  }

  @Test
  fun whatNobodyCanRenewIsToldApart() {
    val tokens = tokens()
    val token = tokens.fetch("fake://one", TokenUse.OWN).allTokens.single()
    assertThrows<UnsupportedOperationException> { tokens.renew(token) }
  }

  /** Gives tokens that say who is to renew them. */
  internal class FakeFileSystem : RawLocalFileSystem() {
    /** Null while the class above is made, which asks for it. */
    private var root: URI? = null

    override fun initialize(
      uri: URI,
      conf: Configuration,
    ) {
      root = uri
      super.initialize(uri, conf)
    }

    override fun getUri(): URI = root ?: super.getUri()

    override fun getCanonicalServiceName(): String = uri.authority

    override fun getDelegationToken(renewer: String?): Token<*> =
      Token<TokenIdentifier>(
        renewer.orEmpty().toByteArray(),
        "secret".toByteArray(),
        Text("FAKE"),
        Text(uri.authority),
      )
  }
}

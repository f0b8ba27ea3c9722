package knit.am.security

import org.apache.hadoop.conf.Configuration
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.IOException
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.attribute.PosixFilePermissions

/** Without Kerberos, where Hadoop lets anybody in and reads no keytab; with it, it is held by the suite's clusters. */
class KeytabLoginTest {
  @TempDir
  lateinit var directory: Path
  private var millis = 0L

  /** What lay there at the end of each login: the permissions, and what is in it. */
  private val seen = ArrayList<Pair<String, String>>()

  private val login by lazy {
    KeytabLogin("ann@EXAMPLE.COM", "the key".toByteArray(), directory, lazyOf(Configuration())) {
      seen += files().map { PosixFilePermissions.toString(Files.getPosixFilePermissions(it)) to String(Files.readAllBytes(it)) }
      millis
    }
  }

  private fun files(): List<Path> = Files.list(directory).use { found -> found.toArray().map { it as Path } }

  @Test
  fun theKeytabLiesInAFileOfThisUserAloneAndOnlyWhileItIsRead() {
    login.user()
    assertEquals(listOf("rw-------" to "the key"), seen)
    assertEquals(emptyList<Path>(), files())
  }

  @Test
  fun aTicketIsFetchedAnewAfterHalfAMinuteAndNotBefore() {
    login.user()
    millis = 29_999
    repeat(3) { login.user() }
    assertEquals(1, seen.size)
    millis = 30_000
    repeat(3) { login.user() }
    assertEquals(2, seen.size)
  }

  @Test
  fun whoHasNoTicketIsToldForWhom() {
    val refused = assertThrows<IOException> { KeytabNegotiator(login).begin("node1") }
    assertTrue("HTTP/node1" in refused.message.orEmpty(), refused.message)
  }
}

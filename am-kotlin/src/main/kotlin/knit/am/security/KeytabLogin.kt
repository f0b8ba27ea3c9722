package knit.am.security

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.security.UserGroupInformation
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.attribute.PosixFilePermissions

/**
 * Logs in with the keytab that came with the submission. Blocks; any number of callers.
 *
 * Each login is a new one: Hadoop 2 renews those of its process's own user only. Java reads keytabs from files, so it lies in
 * one of its own while it is read, which nobody but this user may read, and no longer.
 *
 * @param directory where that file is; it is the container's own
 * @param nowMillis a clock that never goes back
 */
internal class KeytabLogin(
  private val principal: String,
  private val keytab: ByteArray,
  private val directory: Path,
  private val configuration: Lazy<Configuration>,
  private val nowMillis: () -> Long,
) {
  private var last: UserGroupInformation? = null
  private var lastMillis = 0L

  /** Somebody who has a ticket, and has had it for [FRESH_MILLIS] at most. */
  @Synchronized
  fun user(): UserGroupInformation {
    last?.takeIf { nowMillis() - lastMillis < FRESH_MILLIS }?.let { return it }
    // Hadoop has to know by then that this is a cluster with Kerberos.
    configuration.value
    val file = Files.createTempFile(directory, ".knit", ".keytab", PosixFilePermissions.asFileAttribute(forOwner))
    try {
      Files.write(file, keytab)
      return UserGroupInformation.loginUserFromKeytabAndReturnUGI(principal, file.toString()).also {
        last = it
        lastMillis = nowMillis()
      }
    } finally {
      Files.deleteIfExists(file)
    }
  }

  private companion object {
    /** Shorter than any ticket's life. */
    const val FRESH_MILLIS = 30_000L
    val forOwner = PosixFilePermissions.fromString("rw-------")
  }
}

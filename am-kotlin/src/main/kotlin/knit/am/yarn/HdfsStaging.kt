package knit.am.yarn

import knit.am.Staging
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.runInterruptible
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.FileSystem
import org.apache.hadoop.fs.Path
import org.apache.hadoop.fs.permission.FsPermission
import org.apache.hadoop.util.VersionInfo
import org.slf4j.LoggerFactory
import java.net.URI

/**
 * The staging directory behind Hadoop's file system API.
 *
 * Loading that takes a while, so it is used where nobody waits: after the end, and on Hadoop 2.
 */
internal class HdfsStaging(
  private val configuration: Lazy<Configuration>,
  private val applicationId: String,
  private val url: String?,
  private val dispatcher: CoroutineDispatcher,
  private val hadoopVersion: () -> String = VersionInfo::getVersion,
  private val warn: (String) -> Unit = LoggerFactory.getLogger(HdfsStaging::class.java)::warn,
) : Staging {
  override suspend fun publish(address: String) {
    if (url == null || !hadoopVersion().startsWith("2.")) return
    attempt("The address could not be left in $url, so that clients cannot connect") {
      val file = Path(Path(URI(url)), ADDRESS_FILE)
      FileSystem.create(file.getFileSystem(configuration.value), file, FsPermission(OWNER_ONLY)).use { it.write(address.toByteArray()) }
    }
  }

  override suspend fun remove() {
    if (url == null) return
    attempt("$url could not be removed") {
      val directory = Path(URI(url.trimEnd('/')))
      // Whatever went wrong with the URL: a directory that is not this application's is left alone.
      check(directory.name == applicationId) { "it is not named after the application" }
      directory.getFileSystem(configuration.value).delete(directory, true)
    }
  }

  private suspend fun attempt(
    complaint: String,
    work: () -> Unit,
  ) {
    try {
      runInterruptible(dispatcher, work)
    } catch (cancelled: CancellationException) {
      throw cancelled
    } catch (
      @Suppress("TooGenericExceptionCaught") failure: Exception,
    ) {
      warn("$complaint: $failure")
    }
  }

  private companion object {
    const val ADDRESS_FILE = "address"
    const val OWNER_ONLY: Short = 0x180
  }
}

package knit.client

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.hadoop.fs.RawLocalFileSystem
import org.apache.hadoop.fs.permission.FsAction
import org.apache.hadoop.security.AccessControlException
import java.net.URI

/** A directory of this machine that stands for a cluster's file system, `home:///`, with the home where the configuration says. */
class HomeFileSystem : RawLocalFileSystem() {
  override fun getUri(): URI = URI("home:///")

  override fun getHomeDirectory(): Path = makeQualified(Path(conf.get(HOME)))

  /** The inherited one reads permissions of `file:` alone. */
  override fun access(
    path: Path,
    mode: FsAction,
  ) {
    if (!pathToFile(path).canWrite()) throw AccessControlException("$path is not to be written to")
  }

  companion object {
    const val HOME = "test.home"

    fun configuration(home: java.nio.file.Path) =
      Configuration(false).apply {
        set(DEFAULT_FILE_SYSTEM, "home:///")
        set("fs.home.impl", HomeFileSystem::class.java.name)
        setBoolean("fs.home.impl.disable.cache", true)
        set(HOME, home.toString())
      }
  }
}

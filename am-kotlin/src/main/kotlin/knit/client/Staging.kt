package knit.client

import knit.am.core.LocalResource
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.FileStatus
import org.apache.hadoop.fs.FileSystem
import org.apache.hadoop.fs.Path
import org.apache.hadoop.fs.permission.FsPermission
import java.io.File
import java.io.IOException
import java.io.OutputStream
import java.security.MessageDigest
import java.security.SecureRandom

/**
 * The user's directory `.knit` on the cluster, as the Python SDK keeps it too. Threads may share it.
 *
 * Contents are in `.knit/cache/<sha256><extension>`, named by what they are, so that each travels once, from whichever client;
 * the time of `<entry>.used` says when one was used last, on clusters that record no access times.
 * `.knit/applications/<application_id>/application.json` says which of them an application uses, and holds the keys to talk
 * to it. Only the user can read any of it.
 */
internal class Staging(
  private val files: FileSystem,
  private val configuration: Configuration,
) {
  val root: Path = files.makeQualified(Path(files.homeDirectory, ".knit"))
  val cache = Path(root, "cache")
  val applications = Path(root, "applications")
  private val prepared = lazy { listOf(root, cache, applications).forEach(::makeDirectory) }

  /** What staging a file came to. */
  class Staged(
    val resource: LocalResource,
    /** How much of it had to be sent. */
    val sentBytes: Long,
  )

  /** A file that is ready to be sent, if it has to be. */
  class Prepared(
    val source: FileSource,
    val digest: String,
    val sizeBytes: Long,
  )

  /** Brings a file to the cluster, unless it is there already. What fails takes its unfinished upload with it. */
  fun stage(prepared: Prepared): Staged {
    val target = Path(cache, prepared.digest + extension(checkNotNull(prepared.source.localFile).name))
    val cached = files.find(target)?.takeIf { it.len == prepared.sizeBytes }
    if (cached != null) touch(cached)
    val status = cached ?: upload(prepared, target)
    return Staged(resource(prepared.source, urlOf(target), status), if (cached == null) prepared.sizeBytes else 0)
  }

  /** Looks at a file of the cluster, which is used where it is. */
  fun inPlace(source: FileSource): Staged {
    val path = Path(source.url)
    val owner = path.getFileSystem(configuration)
    val status = owner.find(path) ?: throw RefusedException("The file ${source.source} does not exist on the cluster. Check its path.")
    if (status.isDirectory) throw RefusedException("${source.source} is a directory. Name a file; an archive can hold several.")
    val url = if (owner.uri == files.uri) urlOf(path) else owner.resolvePath(path).toUri().toString()
    return Staged(resource(source, url, status), sentBytes = 0)
  }

  private fun directoryOf(applicationId: String) = Path(applications, applicationId)

  /** The staging directory of one application, which need not be there yet, as a URL for nodes. */
  fun urlOf(applicationId: String): String {
    prepared.value
    return "${urlOf(applications)}/$applicationId"
  }

  /**
   * A path that is there on the cluster's own file system, as a URL for nodes.
   *
   * In the configuration's own words, as the Python SDK has it, so that a node knows a file that either brought to it.
   */
  private fun urlOf(path: Path): String {
    val ownName = configuration.getTrimmed(DEFAULT_FILE_SYSTEM).orEmpty().trimEnd('/')
    return if (ownName.startsWith("hdfs://")) ownName + path.toUri().rawPath else files.resolvePath(path).toUri().toString()
  }

  /**
   * Writes down whose an application is, what it uses and how to talk to it, for its user's eyes only.
   *
   * It is removed again as this process ends, unless [keep] is called.
   */
  fun register(
    applicationId: String,
    resources: List<LocalResource>,
    keys: Keys,
    resourceManager: String,
  ) {
    prepared.value
    val directory = directoryOf(applicationId)
    makeDirectory(directory)
    files.deleteOnExit(directory)
    val ownCache = urlOf(cache) + "/"
    val names = resources.filter { it.url.startsWith(ownCache) }.map { it.url.removePrefix(ownCache) }
    val record = ApplicationRecord.of(names, keys, resourceManager)
    create(Path(directory, ApplicationRecord.FILE_NAME), overwrite = true).use { it.write(record.toByteArray()) }
  }

  /** An application's own directory is not ours to remove any more. */
  fun keep(applicationId: String) {
    files.cancelDeleteOnExit(directoryOf(applicationId))
  }

  /** Removes an application's own directory. Calling it again is safe. */
  fun remove(applicationId: String) {
    files.delete(directoryOf(applicationId), true)
  }

  private fun upload(
    wanted: Prepared,
    target: Path,
  ): FileStatus {
    prepared.value
    val file = checkNotNull(wanted.source.localFile)
    val part = Path(cache, ".${target.name}.${randomName()}.part")
    files.deleteOnExit(part)
    try {
      val digest = MessageDigest.getInstance(DIGEST)
      create(part, overwrite = false).use { output ->
        file.inputStream().use { input -> input.copyTo(DigestStream(digest, output), BUFFER_BYTES) }
      }
      if (digest.hex() != wanted.digest) {
        throw RefusedException("The file $file changed while it was sent to the cluster. Submit again when nothing writes to it any more.")
      }
      return move(part, target, wanted.sizeBytes)
    } catch (
      @Suppress("TooGenericExceptionCaught") failure: Throwable,
    ) {
      try {
        files.delete(part, false)
      } catch (also: IOException) {
        failure.addSuppressed(also)
      }
      throw failure
    } finally {
      files.cancelDeleteOnExit(part)
    }
  }

  /** Renames an upload to its final name, unless somebody else was quicker. */
  private fun move(
    part: Path,
    target: Path,
    sizeBytes: Long,
  ): FileStatus {
    repeat(2) {
      if (files.rename(part, target)) return files.getFileStatus(target)
      val there = files.find(target)
      if (there != null && there.len == sizeBytes) {
        files.delete(part, false)
        return there
      }
      if (there != null) files.delete(target, false)
    }
    throw RefusedException("The file system would neither take the name $target nor say what holds it. Try again.")
  }

  private fun create(
    path: Path,
    overwrite: Boolean,
  ): OutputStream =
    files.create(
      path,
      FsPermission(OWNER_FILE),
      overwrite,
      configuration.getInt("io.file.buffer.size", DEFAULT_BUFFER_SIZE),
      files.getDefaultReplication(path),
      files.getDefaultBlockSize(path),
      null,
    )

  private fun makeDirectory(path: Path) {
    if (files.find(path) == null) files.mkdirs(path, FsPermission(OWNER_DIRECTORY))
  }

  /** Notes the use, for the sweep. Never the modification time: YARN compares that. */
  private fun touch(status: FileStatus) {
    val now = System.currentTimeMillis()
    if (now - status.accessTime < TOUCH_INTERVAL_MILLIS) return
    try {
      files.setTimes(status.path, -1, now)
    } catch (refused: IOException) {
      // A cluster may be told not to record access times; then a file's own time has to do.
      val mark = status.path.suffix(USE_MARK)
      val marked = files.find(mark)
      if (marked == null || now - marked.modificationTime >= TOUCH_INTERVAL_MILLIS) create(mark, overwrite = true).close()
    }
  }

  private fun resource(
    source: FileSource,
    url: String,
    status: FileStatus,
  ) = LocalResource(
    url = url,
    sizeBytes = status.len,
    modifyTimeMillis = status.modificationTime,
    type = if (source.isArchive) LocalResource.Type.ARCHIVE else LocalResource.Type.FILE,
    visibility = LocalResource.Visibility.PRIVATE,
  )

  private class DigestStream(
    private val digest: MessageDigest,
    private val next: OutputStream? = null,
  ) : OutputStream() {
    override fun write(byte: Int) = write(byteArrayOf(byte.toByte()), 0, 1)

    override fun write(
      bytes: ByteArray,
      offset: Int,
      length: Int,
    ) {
      digest.update(bytes, offset, length)
      next?.write(bytes, offset, length)
    }
  }

  companion object {
    /** What the name of the file ends in whose time is that of an entry's last use. */
    const val USE_MARK = ".used"
    private const val DIGEST = "SHA-256"
    private const val BUFFER_BYTES = 1 shl 20
    private const val OWNER_FILE: Short = 0x180
    private const val OWNER_DIRECTORY: Short = 0x1c0
    private const val TOUCH_INTERVAL_MILLIS = 3_600_000L
    private val plainExtension = Regex("\\.[a-z0-9]{1,10}$")

    /** Takes the digest of a file on this machine. */
    fun prepare(source: FileSource): Prepared {
      val file = checkNotNull(source.localFile)
      val digest = MessageDigest.getInstance(DIGEST)
      val size =
        try {
          file.inputStream().use { stream -> stream.copyTo(DigestStream(digest), BUFFER_BYTES) }
        } catch (unreadable: IOException) {
          throw RefusedException("The file $file cannot be read: ${unreadable.message}.", unreadable)
        }
      return Prepared(source, digest.hex(), size)
    }

    /** What the name ends in, as far as it is of use and safe in a URL: YARN unpacks by it. */
    internal fun extension(name: String): String {
      val lower = File(name).name.lowercase()
      return FileSource.ARCHIVE_EXTENSIONS.firstOrNull { lower.endsWith(it) }
        ?: plainExtension
          .find(lower)
          ?.takeIf { it.range.first > 0 }
          ?.value
          .orEmpty()
    }

    private fun MessageDigest.hex() = digest().hex()

    private fun randomName() = ByteArray(8).also { SecureRandom().nextBytes(it) }.hex()

    private fun ByteArray.hex() = joinToString("") { "%02x".format(it) }
  }
}

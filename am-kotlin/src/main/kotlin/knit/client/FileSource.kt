package knit.client

import java.io.File
import java.net.URI
import java.net.URISyntaxException

/** A file that containers are to find: on this machine, or on the cluster, where it is used in place. */
internal class FileSource private constructor(
  /** As it was typed. */
  val source: String,
  /** Its name in the working directory of a container. */
  val name: String,
  /** Whether the node unpacks it into a directory of its name. */
  val isArchive: Boolean,
) {
  /** Where it is on this machine; null for a URL of the cluster. */
  val localFile: File? =
    when {
      !URL.containsMatchIn(source) -> File(source)
      source.startsWith("file:", ignoreCase = true) -> File(parsed(source).path)
      else -> null
    }

  /** Where it is on the cluster. */
  val url: URI
    get() = parsed(source)

  /** Throws [RefusedException] where it is on this machine and cannot be sent. */
  fun checkLocal() {
    val file = localFile ?: return
    when {
      file.isDirectory -> throw RefusedException("$file is a directory: pack it, and give the archive.")
      !file.exists() -> throw RefusedException("The file $file does not exist on this machine.")
      !file.isFile || !file.canRead() -> throw RefusedException("The file $file cannot be read: check its permissions.")
    }
  }

  companion object {
    /** What YARN unpacks, by the end of the name. */
    val ARCHIVE_EXTENSIONS = listOf(".tar.gz", ".tgz", ".tar", ".zip", ".jar")

    // Two letters at least, so that a Windows drive is not taken for a scheme.
    private val URL = Regex("^[A-Za-z][A-Za-z0-9+.\\-]+:/")

    // YARN puts names between double quotes of a shell, and does not escape them.
    private const val EXPANDED_BY_YARN = "\"$`\\\n"

    // It also takes a name for a path of Hadoop's, which begins with a scheme where there is a colon.
    private const val UNREADABLE_TO_YARN = EXPANDED_BY_YARN + ":"

    // Linux takes no longer one.
    private const val LONGEST_NAME_BYTES = 255
    private val YARNS_OWN =
      setOf("container_tokens", "default_container_executor.sh", "default_container_executor_session.sh", "launch_container.sh", "tmp")
    private val KNITS_OWN = setOf(".home")

    /** `PATH` or `PATH#NAME`; a `#` in the name of a file that exists belongs to its name. */
    fun of(text: String): FileSource {
      val named = '#' in text && (URL.containsMatchIn(text) || !File(text).exists())
      val source = if (named) text.substringBeforeLast('#') else text
      val name = if (named) text.substringAfterLast('#') else baseName(text)
      if (source.isEmpty() || name.isEmpty()) throw UsageException("--files '$text' lacks a part: write PATH, or PATH#NAME.")
      return FileSource(source, checked(name), isArchive = false)
    }

    /** An archive, to be unpacked into the directory [name]. */
    fun archive(
      source: String,
      name: String,
    ): FileSource {
      val base = baseName(source).lowercase()
      if (ARCHIVE_EXTENSIONS.none { base.endsWith(it) }) {
        throw UsageException(
          "The archive $source ends in none of ${ARCHIVE_EXTENSIONS.joinToString()}, by which YARN knows how to unpack it.",
        )
      }
      return FileSource(source, name, isArchive = true)
    }

    private fun baseName(source: String): String {
      val path = if (URL.containsMatchIn(source)) parsed(source).path else File(source).absoluteFile.normalize().path
      return path.trimEnd('/').substringAfterLast('/')
    }

    private fun parsed(source: String): URI =
      try {
        URI(source)
      } catch (malformed: URISyntaxException) {
        throw UsageException("$source is not a URL: ${malformed.reason}.", malformed)
      }

    private fun checked(name: String): String {
      if (name == "." || name == ".." || '/' in name) {
        throw UsageException("The file name '$name' is not one: it is the name in the working directory, without any slash.")
      }
      name.firstOrNull { it in UNREADABLE_TO_YARN }?.let {
        val which = if (it == '\n') "a newline" else "a '$it'"
        throw UsageException("The file name '$name' holds $which, which YARN does not leave as it is: give PATH#NAME.")
      }
      if ('\uFFFD' in name || !Charsets.UTF_8.newEncoder().canEncode(name)) {
        throw UsageException("The file name '$name' is not UTF-8, which YARN needs: give PATH#NAME.")
      }
      val size = name.toByteArray().size
      if (size > LONGEST_NAME_BYTES) {
        throw UsageException("The file name '$name' is $size bytes long, of at most $LONGEST_NAME_BYTES: give PATH#NAME.")
      }
      if (name in YARNS_OWN) throw UsageException("The file name '$name' is YARN's own: give PATH#NAME.")
      if (name in KNITS_OWN) throw UsageException("The file name '$name' is the container's home: give PATH#NAME.")
      return name
    }
  }
}

/** Throws [RefusedException] where one cannot be sent, or two would have one name in a container. */
internal fun List<FileSource>.checkAll() {
  forEach { it.checkLocal() }
  groupBy { it.name }.values.firstOrNull { it.size > 1 }?.let { (first, second) ->
    throw RefusedException(
      "${first.source} and ${second.source} would both be '${first.name}' in the working directory: give one another name, as PATH#NAME.",
    )
  }
}

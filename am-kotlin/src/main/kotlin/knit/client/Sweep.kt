package knit.client

import knit.client.Staging.Companion.USE_MARK
import org.apache.hadoop.fs.FileStatus
import org.apache.hadoop.fs.FileSystem
import org.apache.hadoop.fs.Path
import org.apache.hadoop.yarn.api.records.ApplicationId
import org.apache.hadoop.yarn.exceptions.ApplicationNotFoundException
import java.io.FileNotFoundException
import java.io.IOException

/**
 * Clears up behind earlier applications, as the Python SDK does: directories of those that ended without removing theirs, and
 * entries of the cache that nobody used for a long time.
 */
internal class Sweep(
  private val files: FileSystem,
  private val staging: Staging,
  private val yarn: Yarn,
  private val newest: ApplicationId,
  private val nowMillis: () -> Long = System::currentTimeMillis,
) {
  /** Returns what was removed. */
  fun run(): List<Path> {
    val removed = mutableListOf<Path>()
    val used = mutableSetOf<String>()
    for (entry in entries(staging.applications)) {
      val record = recordOf(entry.path)
      if (isOver(entry, record)) {
        if (files.delete(entry.path, true)) removed += entry.path
      } else {
        // Without knowing what it uses, nothing can be told to be unused.
        used += record?.let(ApplicationRecord::cacheNames) ?: return removed
      }
    }
    val cached = entries(staging.cache)
    val marks = cached.filter { it.path.name.endsWith(USE_MARK) }.associateBy { it.path.name.removeSuffix(USE_MARK) }
    for (entry in cached) {
      val name = entry.path.name.removeSuffix(USE_MARK)
      if (name in used || !isStale(entry, marks[name])) continue
      // Somebody may have come to use it since the list was made.
      val again = files.find(entry.path) ?: continue
      if (isStale(again, files.find(Path(staging.cache, name + USE_MARK))) && files.delete(entry.path, false)) removed += entry.path
    }
    return removed
  }

  private fun entries(directory: Path): List<FileStatus> =
    try {
      files.listStatus(directory).toList()
    } catch (missing: FileNotFoundException) {
      emptyList()
    }

  /** An application's record, empty where it has none yet or no more; null where it cannot be read. */
  private fun recordOf(directory: Path): String? =
    try {
      files.open(Path(directory, ApplicationRecord.FILE_NAME)).use { it.reader().readText() }
    } catch (missing: FileNotFoundException) {
      NO_RECORD
    } catch (unreadable: IOException) {
      null
    }

  /**
   * Several clusters may keep their applications in one home, and only its own ResourceManager knows of an application.
   * What is another's, or does not say whose it is, is left alone for as long as files in the cache are.
   */
  private fun isOver(
    entry: FileStatus,
    record: String?,
  ): Boolean {
    val id = idOf(entry.path.name) ?: return false
    val owner = ApplicationRecord.resourceManager(record ?: return false)
    if (owner == yarn.identity) return isOver(id)
    return nowMillis() - entry.modificationTime > CACHE_LIFETIME_MILLIS && (owner != null || isOver(id))
  }

  private fun isOver(id: ApplicationId): Boolean {
    val report =
      try {
        yarn.report(id)
      } catch (forgotten: ApplicationNotFoundException) {
        // Forgotten, or not submitted yet: then its ID is about as new as ours.
        return id.clusterTimestamp != newest.clusterTimestamp || id.id <= newest.id - IDS_IN_FLIGHT
      }
    return report.isFinal && nowMillis() - report.finishTimeMillis > LEAVING_MILLIS
  }

  /** Whether nobody used [entry] for a long time, as its own times and that of its [mark] have it. */
  private fun isStale(
    entry: FileStatus,
    mark: FileStatus?,
  ): Boolean {
    val name = entry.path.name
    val lifetime = if (name.startsWith(".") && name.endsWith(".part")) PART_LIFETIME_MILLIS else CACHE_LIFETIME_MILLIS
    // An upload under way has the time of its begin.
    return nowMillis() - maxOf(entry.accessTime, entry.modificationTime, mark?.modificationTime ?: 0) > lifetime
  }

  private fun idOf(name: String): ApplicationId? =
    APPLICATION_ID.matchEntire(name)?.destructured?.let { (epoch, number) ->
      number.toIntOrNull()?.let { ApplicationId.newInstance(epoch.toLongOrNull() ?: return null, it) }
    }

  private companion object {
    const val NO_RECORD = "{\"cache\": []}"
    val APPLICATION_ID = Regex("application_(\\d+)_(\\d+)")

    /** An Application Master has left so long after its application ended, whatever its linger. */
    const val LEAVING_MILLIS = 10 * 60_000L
    const val PART_LIFETIME_MILLIS = 24 * 3_600_000L
    const val CACHE_LIFETIME_MILLIS = 30 * PART_LIFETIME_MILLIS
    const val IDS_IN_FLIGHT = 100
  }
}

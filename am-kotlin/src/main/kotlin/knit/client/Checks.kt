package knit.client

import knit.am.core.Resource
import org.apache.hadoop.fs.FileSystem
import org.apache.hadoop.fs.Path
import org.apache.hadoop.fs.permission.FsAction
import org.apache.hadoop.security.AccessControlException
import java.io.FileNotFoundException

// What can be known of a cluster before anything is sent to it. Each throws a RefusedException whose sentence says what to do.

/** The queue exists, holds applications and not only queues, and is open. */
internal fun checkQueue(
  queues: List<Yarn.Queue>?,
  name: String,
) {
  if (queues == null) return
  val open = queues.filter { it.isLeaf && it.isRunning }.joinToString { it.path }.ifEmpty { "none" }
  val found =
    queues.filter { it.path == name }.ifEmpty { queues.filter { it.path == "root.$name" || it.path.substringAfterLast('.') == name } }
  // Of a parent and a leaf with the same last part, the leaf is meant.
  val queue =
    found.firstOrNull { it.isLeaf } ?: found.firstOrNull()
      ?: throw RefusedException("The cluster has no queue '$name'. Queues that take applications: $open.")
  if (!queue.isLeaf) {
    throw RefusedException(
      "The queue ${queue.path} only holds other queues, so no application can be submitted to it. Queues that take applications: $open.",
    )
  }
  if (!queue.isRunning) {
    throw RefusedException("The queue ${queue.path} is stopped and takes no new applications. Queues that do: $open.")
  }
}

/** Some node has as much as each container asks for, and YARN grants it. */
internal fun checkResources(
  nodes: List<Yarn.Node>,
  maximum: Resource,
  requests: Map<String, Resource>,
) {
  if (nodes.isEmpty()) {
    throw RefusedException(
      "The cluster has no running node. Start a NodeManager, or look at its log for why the ResourceManager does not take it.",
    )
  }
  for ((who, size) in requests) {
    if (!size.fitsIn(maximum)) {
      throw RefusedException(
        "$who asks for ${size.inWords()} in one container, and YARN grants at most ${maximum.inWords()} " +
          "(yarn.scheduler.maximum-allocation-mb and -vcores). Ask for less, or for more containers of a smaller size.",
      )
    }
    if (nodes.none { size.fitsIn(it.size) }) {
      val largest = nodes.maxWith(compareBy({ it.size.memoryMib }, { it.size.vcores }))
      throw RefusedException(
        "$who asks for ${size.inWords()} in one container, and no node has that: the largest, ${largest.id}, " +
          "has ${largest.size.inWords()}. Ask for less, or for more containers of a smaller size.",
      )
    }
  }
}

private fun Resource.inWords() = "$memoryMib MB and $vcores ${if (vcores == 1) "vcore" else "vcores"}"

/** The home directory can be written to, or made; and the file system takes changes. */
internal fun checkHome(
  files: FileSystem,
  user: String,
) {
  val home = files.homeDirectory
  val path = home.toUri().path
  val status = files.find(home)
  if (status == null) {
    val parent = generateSequence(home.parent) { it.parent }.first { it.isRoot || files.find(it) != null }
    if (!files.mayWrite(parent)) {
      throw RefusedException(
        "The home directory $path does not exist, and $user may not make it in ${parent.toUri().path}. " +
          "Ask an administrator: hdfs dfs -mkdir -p $path && hdfs dfs -chown $user $path",
      )
    }
    return
  }
  if (!status.isDirectory) {
    throw RefusedException("The home directory $path is not a directory. Ask the cluster's administrators to put it right.")
  }
  if (!files.mayWrite(home)) {
    throw RefusedException(
      "The home directory $path belongs to ${status.owner} (${status.permission}) and $user may not write to it. " +
        "Ask its owner or an administrator: hdfs dfs -chown $user $path",
    )
  }
  // Makes nothing, for it is there, but is refused where no change is accepted.
  files.mkdirs(home)
}

private fun FileSystem.mayWrite(directory: Path): Boolean =
  try {
    access(directory, FsAction.WRITE_EXECUTE)
    true
  } catch (denied: AccessControlException) {
    false
  }

/** The status of a file, or null where there is none. */
internal fun FileSystem.find(path: Path) =
  try {
    getFileStatus(path)
  } catch (missing: FileNotFoundException) {
    null
  }

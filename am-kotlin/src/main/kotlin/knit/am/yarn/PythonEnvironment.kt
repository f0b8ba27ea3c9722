package knit.am.yarn

import knit.am.core.LocalResource

/** The functions of `activate_environment.sh`, without what only a reader of that file needs: a launch has room for 128 KiB. */
private val activation: String by lazy {
  val file = checkNotNull(LaunchSpec::class.java.getResource("/knit/am/activate_environment.sh")) { "The jar lacks a file of ours" }
  file
    .readText()
    .lineSequence()
    .map { it.trim() }
    .filterNot { it.isEmpty() || it.startsWith("#") }
    .joinToString("") { "$it\n" }
}

/** Lines of a script that make the local resource [name] the Python environment of all that follows. */
internal fun activationOf(name: String): String = activation + "knit_activate ${quoted(name)}\n"

/**
 * An environment as the first container on a node unpacks it, where that can be done with `tar` alone, and for all of them.
 *
 * A node would do so file by file: where it lacks Hadoop's native library, it starts two programs for each of them to see
 * to its permissions. An environment of 15,000 files took 73 s that way, and takes 5 s with `tar`.
 */
internal fun LocalResource.asUnpackedByContainers(): LocalResource =
  if (TAR_ENDINGS.any { url.endsWith(it) } && !isOfAllUsers) copy(type = LocalResource.Type.FILE) else this

/** The node's copy is then its own: containers may not write beside it. */
private val LocalResource.isOfAllUsers: Boolean
  get() = visibility == LocalResource.Visibility.PUBLIC

private val TAR_ENDINGS = listOf(".tar", ".tar.gz", ".tgz")

package knit.am.yarn

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

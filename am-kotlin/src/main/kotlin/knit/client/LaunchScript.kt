package knit.client

/** What a node runs to start the Application Master: the same script, with the same settings, as of the Python SDK. */
internal object LaunchScript {
  /** The link to the jar in the Application Master's container. */
  const val JAR_NAME = "knit-am.jar"

  private const val MAIN_CLASS = "knit.am.MainKt"
  private const val NO_HADOOP_EXIT_CODE = 14
  private const val SMALLEST_HEAP_MIB = 64L
  private const val SMALLEST_RESERVE_MIB = 160L

  /** The file of the SDK; both builds of the jar copy it. */
  private const val SCRIPT = "_launch_am.sh"

  private val crossPlatformVariable = Regex("(?U)\\{\\{(\\w+)\\}\\}")

  // Within double quotes, what bash would take for something else than itself or a variable.
  private val special = Regex("(?U)[\"`\\\\]|\\$(?!\\w|\\{\\w+\\})")
  private val needsQuotes = Regex("[^A-Za-z0-9_@%+=:,./-]")

  /**
   * The bash script that finds Java and Hadoop on a node and becomes the Application Master.
   *
   * @param memoryMib the size of its container
   * @param applicationClasspath where the configuration says that Hadoop's jars are, with the node's own variables in it
   * @param userName who it is to a cluster with simple authentication; null: who the tokens say
   * @param classArchive whether the node may keep an archive of classes for the next one
   */
  fun of(
    memoryMib: Long,
    applicationClasspath: List<String>,
    userName: String?,
    classArchive: Boolean = true,
  ): String {
    val settings =
      listOfNotNull(
        userName?.let { "export HADOOP_USER_NAME=${quoted(it)}" },
        "application_classpath=(${applicationClasspath.joinToString(" ", transform = ::forTheNode)})",
        "class_archive=$classArchive",
        "heap_mib=${heapMib(memoryMib)}",
        "jar_name=$JAR_NAME",
        "main_class=$MAIN_CLASS",
        "no_hadoop_exit_code=$NO_HADOOP_EXIT_CODE",
      )
    return settings.joinToString("\n") + "\n" + script
  }

  private val script: String by lazy {
    checkNotNull(LaunchScript::class.java.getResource(SCRIPT)) { "The jar lacks $SCRIPT." }.readText()
  }

  /** How much of the Application Master's container its heap may take. */
  fun heapMib(memoryMib: Long): Long = maxOf(SMALLEST_HEAP_MIB, memoryMib - maxOf(SMALLEST_RESERVE_MIB, memoryMib / 4))

  /** One entry as a word of the script: variables are expanded on the node, and nothing else. */
  private fun forTheNode(entry: String): String {
    // Cross-platform configurations write {{X}}, which YARN would replace, but not in here.
    val plain = crossPlatformVariable.replace(entry, "\\\${$1}").replace("<CPS>", ":")
    return "\"" + special.replace(plain) { "\\" + it.value } + "\""
  }

  private fun quoted(word: String): String =
    if (word.isNotEmpty() && !needsQuotes.containsMatchIn(word)) word else "'" + word.replace("'", "'\"'\"'") + "'"
}

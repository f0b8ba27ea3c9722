package knit.client

import knit.am.core.Resource
import knit.am.core.problemInLaunch
import picocli.CommandLine
import picocli.CommandLine.Command
import picocli.CommandLine.Help.Ansi
import picocli.CommandLine.Option
import picocli.CommandLine.ParameterException
import picocli.CommandLine.UnmatchedArgumentException
import java.time.Duration

/** The options, in the order and with the names in which they are documented. */
@Command(
  name = "hadoop jar knit.jar io.continuum.knit.Client",
  customSynopsis = ["hadoop jar knit.jar io.continuum.knit.Client [OPTION]..."],
  description = ["%nRuns a command in containers of a YARN cluster, and prints the application's ID.%n"],
  footer = [
    "%nExample:",
    "  hadoop jar knit.jar io.continuum.knit.Client --numContainers 3 \\",
    "    --files script.py --command \"python3 script.py\"",
    "%nExit status: 0 if all went well; 1 if it was refused; 2 if the command line",
    "makes no sense; with --wait the program's own, and 124 after --timeout.",
  ],
  sortOptions = false,
)
internal class Arguments {
  @Option(names = ["-n", "--numContainers"], paramLabel = VALUE, description = ["Number of YARN containers (1)"])
  private var numContainers = 1

  @Option(names = ["-m", "--memory"], paramLabel = VALUE, description = ["Amount of memory per container, in MB (128)"])
  private var memory = 128L

  @Option(names = ["-c", "--virtualCores"], paramLabel = VALUE, description = ["Virtual cores per container (1)"])
  private var virtualCores = 1

  @Option(names = ["-C", "--command"], paramLabel = VALUE, description = ["Command to run in containers: a line for bash"])
  private var command: String? = null

  @Option(
    names = ["-p", "--pythonEnv"],
    paramLabel = VALUE,
    description = [
      "A packed Python environment, .zip or .tar.gz, here or on the cluster (hdfs://...); the command finds its python as \$PYTHON_BIN",
    ],
  )
  private var pythonEnv: String? = null

  @Option(names = ["--queue"], paramLabel = VALUE, description = ["Queue of the application (default)"])
  private var queue = "default"

  @Option(names = ["--name"], paramLabel = VALUE, description = ["Name of the application (knit)"])
  private var name = "knit"

  @Option(
    names = ["--files"],
    paramLabel = VALUE,
    split = ",",
    description = ["Files beside the command, with commas between them: paths or hdfs://... URLs, each PATH or PATH#NAME; repeatable"],
  )
  private var files: List<String> = emptyList()

  @Option(names = ["--env"], paramLabel = "<NAME=VALUE>", description = ["A variable for the command; repeatable"])
  private var environment: List<String> = emptyList()

  @Option(
    names = ["--masterPorts"],
    paramLabel = "<first-last>",
    description = ["Ports that the Application Master may listen on, for a firewall: 50100-50200 (any)"],
  )
  private var masterPorts: String? = null

  @Option(
    names = ["--wait"],
    description = ["Wait for the end, and leave with the program's exit code; Ctrl-C leaves the application running"],
  )
  private var wait = false

  @Option(names = ["--timeout"], paramLabel = "<time>", description = ["With --wait: kill it after this long: 90s, 5m, 1h30m (never)"])
  private var timeout: String? = null

  @Option(names = ["--debug"], description = ["Show Hadoop's own log, and where an error came from"])
  private var debug = false

  @Option(names = ["--help"], usageHelp = true, description = ["Show this help"])
  private var help = false

  private fun toRequest(): Request {
    val command = readable("--command", command ?: throw UsageException("--command is missing: say what to run."))
    demand(command.isNotBlank()) { "--command is empty: say what to run." }
    demand(numContainers >= 1) { "--numContainers is $numContainers: ask for 1 container or more." }
    demand(memory >= 1) { "--memory is $memory: ask for 1 MB or more." }
    demand(virtualCores >= 1) { "--virtualCores is $virtualCores: ask for 1 or more." }
    demand(name.isNotBlank()) { "--name is empty." }
    demand(queue.isNotBlank()) { "--queue is empty." }
    val limit = timeout?.let(::duration)
    demand(wait || limit == null) { "--timeout needs a client that stays: add --wait." }
    val variables = variables()
    val problem = problemInLaunch(command, variables)
    demand(problem == null) { "The command cannot be run: $problem." }
    return Request(
      name = readable("--name", name),
      queue = readable("--queue", queue),
      command = command,
      instances = numContainers,
      resource = Resource(memory, virtualCores),
      environment = variables,
      files = files.map { FileSource.of(readable("--files", it)) },
      pythonEnvironment = pythonEnv?.let { FileSource.archive(readable("--pythonEnv", it), Request.PYTHON_DIRECTORY) },
      wait = wait,
      masterPorts = masterPorts?.let(::portRange),
      timeout = limit,
    )
  }

  private fun variables(): Map<String, String> =
    environment.associate { text ->
      val name = text.substringBefore('=')
      // What follows the name may be a secret, so it is not repeated.
      demand('=' in text && VARIABLE_NAME.matches(name)) {
        "--env '$name' names no variable: write NAME=VALUE, with letters, digits and underscores in NAME."
      }
      demand(name !in OWN_VARIABLES) { "The variable $name is set by knit: leave it out." }
      name to readable("--env $name", text.substringAfter('='))
    }

  companion object {
    private const val VALUE = "<value>"
    private const val LONG_OPTIONS_WIDTH = 24

    private const val LONGEST_SECONDS = 10 * 365 * 24 * 3600.0
    private val VARIABLE_NAME = Regex("[A-Za-z_][A-Za-z0-9_]*")
    private val OWN_VARIABLES =
      setOf("APPLICATION_ID", "ATTEMPT_NUMBER", "CONTAINER_ID", "LAUNCH", "RANK", "SERVICE_NAME").mapTo(mutableSetOf()) { "KNIT_$it" }
    private val PORTS = Regex("(\\d{1,5})(?:-(\\d{1,5}))?")
    private const val LAST_PORT = 65_535
    private val DURATION = Regex("(?:(\\d+)d)?(?:(\\d+)h)?(?:(\\d+)m)?(?:(\\d+(?:\\.\\d*)?)s?)?")

    /**
     * Reads a command line; null where help is asked for.
     *
     * Throws [UsageException] where it makes no sense. [onDebug] is called as soon as that option is seen.
     */
    fun parse(
      arguments: List<String>,
      onDebug: () -> Unit = {},
    ): Request? {
      val parsed = Arguments()
      val line =
        CommandLine(parsed)
          // A command may begin with @, and is no file of arguments.
          .setExpandAtFiles(false)
      try {
        line.parseArgs(*arguments.toTypedArray())
      } catch (unmatched: UnmatchedArgumentException) {
        val first = unmatched.unmatched.first()
        val hint = if (first.startsWith("-")) "There is no such option" else "Put a command of several words between quotes"
        throw UsageException("'$first' is one word too many. $hint; --help shows what there is.", unmatched)
      } catch (wrong: ParameterException) {
        throw UsageException("${wrong.message.orEmpty().lineSequence().first().trimEnd('.')}. --help shows what there is.", wrong)
      }
      if (parsed.debug) onDebug()
      return if (line.isUsageHelpRequested) null else parsed.toRequest()
    }

    /** The help, for a terminal of 80 columns. */
    fun help(): String = CommandLine(Arguments()).setUsageHelpLongOptionsMaxWidth(LONG_OPTIONS_WIDTH).getUsageMessage(Ansi.OFF)

    private fun duration(text: String): Duration {
      val parts = DURATION.matchEntire(text.trim())?.groupValues?.drop(1)
      demand(parts != null && text.isNotBlank()) { "--timeout '$text' is no length of time: write it like 90s, 5m or 1h30m." }
      val (days, hours, minutes, seconds) = parts.orEmpty().map { it.ifEmpty { "0" }.toDouble() }
      val total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
      demand(total in 0.001..LONGEST_SECONDS) { "--timeout '$text' is too short or too long: give 0.001s to 10 years." }
      return Duration.ofMillis((total * 1000).toLong())
    }

    /** `50100-50200`, or a single port. */
    private fun portRange(text: String): IntRange {
      val (first, last) =
        PORTS
          .matchEntire(text.trim())
          ?.destructured
          ?.let { (first, last) -> first.toInt() to last.ifEmpty { first }.toInt() }
          ?: (0 to 0)
      demand(first in 1..last && last <= LAST_PORT) {
        "--masterPorts '$text' is no range of ports: write it like 50100-50200, within 1 to $LAST_PORT."
      }
      return first..last
    }

    /** [text] as it was typed, if this JVM could read it. */
    private fun readable(
      what: String,
      text: String,
    ): String {
      // Java puts these in place of bytes that are not in the locale's character set, before anybody can look at them.
      demand('\uFFFD' !in text) {
        "$what holds characters that Java cannot read in this locale: run it with LANG=C.UTF-8, or another locale of UTF-8."
      }
      return text
    }

    private inline fun demand(
      condition: Boolean,
      message: () -> String,
    ) {
      if (!condition) throw UsageException(message())
    }
  }
}

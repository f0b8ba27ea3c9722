package knit.client

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withTimeoutOrNull
import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.yarn.exceptions.YarnException
import java.io.File
import java.io.IOException
import java.io.PrintStream
import java.net.JarURLConnection

/**
 * The command line, from the words as typed to an exit status.
 *
 * stdout gets the application's ID, or the help, and nothing else; stderr gets one line per step, and one for what went wrong.
 */
internal class ClientCommand(
  private val out: PrintStream,
  private val err: PrintStream,
) {
  private var debug = false

  fun run(arguments: Array<String>): Int =
    try {
      val words = withoutMainClass(arguments.toList())
      val request = if (words.isEmpty()) null else Arguments.parse(words) { debug = true }
      if (request == null) {
        out.print(Arguments.help())
        out.flush()
        0
      } else {
        execute(request)
      }
    } catch (told: ClientException) {
      complain(told.message.orEmpty(), told)
      told.exitStatus
    } catch (missing: NoClassDefFoundError) {
      complain(
        "A class of Hadoop is missing (${missing.message?.replace('/', '.')}): run it as `hadoop jar`, which knows where they are.",
        missing,
      )
      EXIT_REFUSED
    } catch (
      @Suppress("TooGenericExceptionCaught") unexpected: Exception,
    ) {
      complain("Something went wrong that nobody thought of: $unexpected. --debug shows where.", unexpected)
      EXIT_REFUSED
    }

  private fun execute(request: Request): Int {
    request.everyFile.checkAll()
    HadoopLog.tame(verbose = debug, err)
    val configuration = clientConfiguration()
    asking({ "Finding out who you are" }, "Look at the Hadoop configuration, hadoop.security.authentication above all.") {
      UserGroupInformation.setConfiguration(configuration)
      UserGroupInformation.getCurrentUser()
    }
    val progress = Progress(err)
    return RealYarn(configuration).use { yarn ->
      runBlocking(Dispatchers.Default) {
        val submitted = Submitter(request, configuration, yarn, ownJar(), progress).submit()
        out.println(submitted.id)
        out.flush()
        val sweep = launch(Dispatchers.IO) { sweep(submitted, yarn) }
        val status = if (request.wait) waitFor(submitted, request, yarn, progress) else 0
        withTimeoutOrNull(SWEEP_MILLIS) { sweep.join() } ?: sweep.cancel()
        status
      }
    }
  }

  /** What does not work now is left to a later submission. */
  private suspend fun sweep(
    submitted: Submitted,
    yarn: Yarn,
  ) {
    try {
      runInterruptible { Sweep(submitted.files, submitted.staging, yarn, submitted.id).run() }
    } catch (left: IOException) {
      if (debug) left.printStackTrace(err)
    } catch (left: YarnException) {
      if (debug) left.printStackTrace(err)
    }
  }

  private suspend fun waitFor(
    submitted: Submitted,
    request: Request,
    yarn: Yarn,
    progress: Progress,
  ): Int {
    val farewell = Thread { err.println("knit: ${submitted.id} goes on; to end it: yarn application -kill ${submitted.id}") }
    Runtime.getRuntime().addShutdownHook(farewell)
    val status =
      Waiting(
        yarn,
        submitted.id,
        request.timeout,
        progress,
        connect = { host, port -> RealMasterClient(host, port, submitted.keys) },
        forget = { submitted.staging.remove(submitted.id.toString()) },
        Dispatchers.IO,
      ).run()
    Runtime.getRuntime().removeShutdownHook(farewell)
    return status
  }

  private fun complain(
    sentence: String,
    error: Throwable,
  ) {
    err.println("knit: $sentence")
    if (debug) error.printStackTrace(err)
  }

  companion object {
    private const val MAIN_CLASS = "io.continuum.knit.Client"

    /** How long a user who has the ID already is kept for it. */
    private const val SWEEP_MILLIS = 3_000L
    private const val MARK = "knit/am/MainKt.class"

    /** `hadoop jar` takes the main class from the jar, and so hands on the name that people put there for jars without one. */
    internal fun withoutMainClass(words: List<String>): List<String> =
      if (words.firstOrNull()?.replace('/', '.') == MAIN_CLASS) words.drop(1) else words

    /** The jar that this runs from, which is the one that the Application Master gets. `hadoop jar` has it unpacked beside it. */
    private fun ownJar(): File =
      ClientCommand::class.java.classLoader
        .getResources(MARK)
        .asSequence()
        .map { it.openConnection() }
        .filterIsInstance<JarURLConnection>()
        .map { File(it.jarFileURL.toURI()) }
        .firstOrNull()
        ?: throw RefusedException("This does not run from knit's jar, which the cluster is to be given: run it as `hadoop jar knit.jar`.")
  }
}

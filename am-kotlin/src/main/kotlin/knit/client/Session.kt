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

/** One request on the cluster of the configuration: submitted, its ID printed, and waited for where that is wished. */
internal class Session(
  private val request: Request,
  private val out: PrintStream,
  private val err: PrintStream,
  private val debug: Boolean,
) {
  private val progress = Progress(err)

  /** Returns the exit status. */
  fun run(): Int {
    HadoopLog.tame(verbose = debug, err)
    val configuration = clientConfiguration()
    asking({ "Finding out who you are" }, "Look at the Hadoop configuration, hadoop.security.authentication above all.") {
      UserGroupInformation.setConfiguration(configuration)
      UserGroupInformation.getCurrentUser()
    }
    return RealYarn(configuration).use { yarn ->
      runBlocking(Dispatchers.Default) {
        val submitted = Submitter(request, configuration, yarn, ownJar(), progress).submit()
        out.println(submitted.id)
        out.flush()
        val sweep = launch(Dispatchers.IO) { sweep(submitted, yarn) }
        val status = if (request.wait) waitFor(submitted, yarn) else 0
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
    yarn: Yarn,
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

  private companion object {
    /** How long a user who has the ID already is kept for it. */
    const val SWEEP_MILLIS = 3_000L
    const val MARK = "knit/am/MainKt.class"

    /** The jar that this runs from, which is the one that the Application Master gets. `hadoop jar` has it unpacked beside it. */
    fun ownJar(): File =
      Session::class.java.classLoader
        .getResources(MARK)
        .asSequence()
        .map { it.openConnection() }
        .filterIsInstance<JarURLConnection>()
        .map { File(it.jarFileURL.toURI()) }
        .firstOrNull()
        ?: throw RefusedException("This does not run from knit's jar, which the cluster is to be given: run it as `hadoop jar knit.jar`.")
  }
}

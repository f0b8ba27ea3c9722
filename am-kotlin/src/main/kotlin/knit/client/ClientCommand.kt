package knit.client

import java.io.PrintStream

/**
 * The command line, from the words as typed to an exit status.
 *
 * stdout gets the application's ID, or the help, and nothing else; stderr gets one line per step, and one for what went wrong.
 * Nothing here names a class of Hadoop, so that help and complaints come also where there is none.
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
        request.everyFile.checkAll()
        Session(request, out, err, debug).run()
      }
    } catch (told: ClientException) {
      complain(told.message.orEmpty(), told)
      told.exitStatus
    } catch (missing: NoClassDefFoundError) {
      val name = missing.message?.replace('/', '.')
      complain("A class of Hadoop is missing ($name): run it as `hadoop jar`, which knows where they are.", missing)
      EXIT_REFUSED
    } catch (
      @Suppress("TooGenericExceptionCaught") unexpected: Exception,
    ) {
      complain("Something went wrong that nobody thought of: $unexpected. --debug shows where.", unexpected)
      EXIT_REFUSED
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

    /** `hadoop jar` takes the main class from the jar, and so hands on the name that people put there for jars without one. */
    internal fun withoutMainClass(words: List<String>): List<String> =
      if (words.firstOrNull()?.replace('/', '.') == MAIN_CLASS) words.drop(1) else words
  }
}

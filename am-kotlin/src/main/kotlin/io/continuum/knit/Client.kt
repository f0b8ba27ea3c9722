package io.continuum.knit

import knit.client.ClientCommand
import kotlin.system.exitProcess

/**
 * The command line for the JVM: `hadoop jar knit.jar io.continuum.knit.Client`, as knit 0.1.1 named it.
 *
 * This name is the only one in the jar that is not knit's own or relocated, for people have it in their scripts.
 */
object Client {
  @JvmStatic
  fun main(arguments: Array<String>) {
    val out = System.out
    // stdout is for the application's ID alone, whatever a library or a logger believes.
    System.setOut(System.err)
    exitProcess(ClientCommand(out, System.err).run(arguments))
  }
}

package knit.am.bench

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable
import java.io.File

/**
 * What the core costs at the sizes that knit is made for; see docs/performance.md. Nothing here fails for being slow.
 *
 * It runs in a JVM of its own, with the Application Master's collector and a fixed heap, when KNIT_BENCH names a file:
 * `nox -s bench -- --steps core`.
 */
@EnabledIfEnvironmentVariable(named = "KNIT_BENCH", matches = ".+")
class CoreBench {
  @Test
  fun measure() {
    val java = File(System.getProperty("java.home"), "bin/java").path
    val classPath = System.getProperty("java.class.path")
    val repeats = System.getenv("KNIT_BENCH_REPEATS") ?: "5"
    val command =
      listOf(
        java,
        "-XX:+UseSerialGC",
        // Else a busy machine compiles late, and what is measured is how late.
        "-Xbatch",
        "-Xms1g",
        "-Xmx1g",
        "-cp",
        classPath,
        "knit.am.bench.CoreMeasuresKt",
        System.getenv("KNIT_BENCH"),
        repeats,
      )
    val process = ProcessBuilder(command).redirectErrorStream(true).start()
    process.inputStream.bufferedReader().forEachLine(::println)
    assertEquals(0, process.waitFor())
  }

  companion object {
    const val CONTAINERS = 10_000
    const val NODES = 5_000
  }
}

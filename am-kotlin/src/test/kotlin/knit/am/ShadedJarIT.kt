package knit.am

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.DataInputStream
import java.io.File
import java.util.concurrent.TimeUnit
import java.util.jar.JarFile

/** The finished jar runs on Java 8, and nothing in it but the client's old name can get into a cluster's own jars' way. */
class ShadedJarIT {
  private val jar = JarFile(checkNotNull(System.getProperty("knit.shaded.jar")) { "the build says which jar to test" })
  private val classes = jar.entries().toList().filter { it.name.endsWith(".class") }

  @Test
  fun everyClassIsJava8() {
    val newer =
      classes.filter { entry ->
        DataInputStream(jar.getInputStream(entry)).use { stream ->
          stream.readInt()
          stream.readUnsignedShort()
          stream.readUnsignedShort() > JAVA_8
        }
      }
    assertTrue(classes.size > 1_000)
    assertEquals(emptyList<String>(), newer.map { it.name })
  }

  @Test
  fun everyClassIsOursOrRelocated() {
    assertEquals(listOf("io/continuum/knit/Client.class"), classes.map { it.name }.filterNot { it.startsWith("knit/") })
  }

  @Test
  fun servicesAreRelocatedWithTheirClasses() {
    val services = jar.entries().toList().filter { it.name.startsWith("META-INF/services/") && !it.isDirectory }
    val providers =
      services.flatMap { entry ->
        jar
          .getInputStream(entry)
          .reader()
          .readLines()
          .map { it.substringBefore('#').trim() }
          .filter { it.isNotEmpty() }
      }
    assertTrue(providers.any { it.endsWith("NettyServerProvider") }, "the transport is found")
    assertEquals(emptyList<String>(), providers.filter { jar.getEntry(it.replace('.', '/') + ".class") == null })
  }

  @Test
  fun itsMainClassIsTheClients() {
    assertEquals("io.continuum.knit.Client", jar.manifest.mainAttributes.getValue("Main-Class"))
    // What GetApplication tells as the version.
    assertTrue(
      jar.manifest.mainAttributes
        .getValue("Implementation-Version")
        .matches(Regex("""\d+\.\d+\.\d+.*""")),
    )
    // Named by the script that starts it, which is in the jar for the client.
    assertNotNull(jar.getEntry("knit/am/MainKt.class"))
    assertNotNull(jar.getEntry("knit/client/_launch_am.sh"))
  }

  @Test
  fun aloneItPrintsHelpAlsoWhereThereIsNoHadoop() {
    for (words in listOf(emptyList(), listOf("io.continuum.knit.Client"), listOf("--help"))) {
      val (status, out, err) = run(*words.toTypedArray())
      assertEquals(0 to "", status to err)
      assertTrue("--numContainers" in out, out)
    }
  }

  @Test
  fun whatGoesWrongIsOneSentenceOnStderr() {
    val (usage, nothing, sentence) = run("-n", "0", "-C", "true")
    assertEquals(Triple(2, "", 1), Triple(usage, nothing, sentence.lines().count { it.isNotEmpty() }))
    val (refused, _, missing) = run("-C", "true")
    assertEquals(1, refused)
    assertTrue("hadoop jar" in missing, missing)
  }

  private fun run(vararg arguments: String): Triple<Int, String, String> {
    val java = File(System.getProperty("java.home"), "bin/java").path
    val err = File.createTempFile("knit", null)
    try {
      val process = ProcessBuilder(java, "-jar", jar.name, *arguments).redirectError(err).start()
      val out = process.inputStream.reader().readText()
      assertTrue(process.waitFor(1, TimeUnit.MINUTES))
      return Triple(process.exitValue(), out, err.readText())
    } finally {
      err.delete()
    }
  }

  private companion object {
    const val JAVA_8 = 52
  }
}

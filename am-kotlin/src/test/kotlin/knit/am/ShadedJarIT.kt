package knit.am

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.DataInputStream
import java.util.jar.JarFile

/** The finished jar runs on Java 8, and nothing in it can get into a cluster's own jars' way. */
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
    assertEquals(emptyList<String>(), classes.map { it.name }.filterNot { it.startsWith("knit/") })
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
    assertTrue(providers.any { it.endsWith("OkHttpServerProvider") }, "the transport is found")
    assertEquals(emptyList<String>(), providers.filter { jar.getEntry(it.replace('.', '/') + ".class") == null })
  }

  @Test
  fun itsMainClassIsNamed() {
    assertEquals("knit.am.MainKt", jar.manifest.mainAttributes.getValue("Main-Class"))
  }

  private companion object {
    const val JAVA_8 = 52
  }
}

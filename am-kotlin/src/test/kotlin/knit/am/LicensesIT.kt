package knit.am

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import java.util.jar.JarFile

/** Whatever others wrote that is in the finished jar, its licence is there too. */
class LicensesIT {
  private class Packed(
    val name: String,
    val licence: String,
    val texts: List<String>,
  )

  private val jar = JarFile(checkNotNull(System.getProperty("knit.shaded.jar")) { "the build says which jar to test" })
  private val packed =
    read("THIRD-PARTY.txt").lines().filter { it.isNotEmpty() }.map { line ->
      val (name, licence, texts) = line.split('\t')
      Packed(name, licence, texts.split(' '))
    }

  private fun read(name: String): String =
    checkNotNull(jar.getInputStream(checkNotNull(jar.getEntry("META-INF/licenses/$name")) { "there is no $name" }))
      .reader()
      .readText()

  @Test
  fun everyClassOfOthersBelongsToSomethingWithALicence() {
    val path = System.getProperty("java.class.path").split(File.pathSeparator).map(::File)
    val listed =
      packed.associateWith { each ->
        val (_, artifact, version) = each.name.split(':')
        path.firstOrNull { it.name == "$artifact-$version.jar" }
      }
    val known =
      listed.values.filterNotNull().flatMapTo(mutableSetOf()) { file ->
        JarFile(file).use {
          it.entries().toList().map { entry ->
            entry.name
          }
        }
      }
    val ofOthers =
      jar
        .entries()
        .toList()
        .map { it.name }
        .filter { it.startsWith(SHADED) && it.endsWith(".class") }
    assertTrue(ofOthers.size > 1_000)
    assertEquals(emptyList<String>(), ofOthers.filterNot { it.removePrefix(SHADED) in known })
  }

  @Test
  fun everyLicenceIsThereInFull() {
    assertTrue(packed.size > 20)
    for (each in packed) {
      assertTrue(each.licence.isNotBlank(), each.name)
      for (text in each.texts) assertTrue(read(text).length > 500, "${each.name}: $text")
    }
    assertTrue(read("LICENSE").startsWith("BSD 3-Clause License"))
    assertTrue("the knit authors" in read("NOTICE"))
  }

  /** Shading would keep one of several with the same name, and nobody would know whose it is. */
  @Test
  fun noLicenceLiesWhereOthersOfItsNameWereDropped() {
    val loose = Regex("(META-INF/)?(LICENSE|NOTICE)[^/]*|META-INF/license/.*")
    assertEquals(
      emptyList<String>(),
      jar
        .entries()
        .toList()
        .map { it.name }
        .filter { it.matches(loose) },
    )
  }

  private companion object {
    const val SHADED = "knit/shaded/"
  }
}

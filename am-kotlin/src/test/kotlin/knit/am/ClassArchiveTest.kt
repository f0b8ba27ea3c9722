package knit.am

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.util.jar.Attributes
import java.util.jar.JarOutputStream
import java.util.jar.Manifest
import java.util.zip.ZipEntry

class ClassArchiveTest {
  @TempDir
  lateinit var directory: File

  private fun jar(
    name: String,
    vararg entries: String,
    classPath: String? = null,
  ): File {
    val manifest = Manifest()
    manifest.mainAttributes[Attributes.Name.MANIFEST_VERSION] = "1.0"
    classPath?.let { manifest.mainAttributes[Attributes.Name.CLASS_PATH] = it }
    val file = directory.resolve(name).also { it.parentFile.mkdirs() }
    JarOutputStream(file.outputStream(), manifest).use { out -> entries.forEach { out.putNextEntry(ZipEntry(it)) } }
    return file
  }

  private fun configuration(vararg files: String): File {
    val conf = directory.resolve("conf")
    files.forEach { file -> conf.resolve(file).also { it.parentFile.mkdirs() }.createNewFile() }
    return conf
  }

  @Test
  fun aListOfClassesIsReadAsTheJvmsOfAllVersionsWriteIt() {
    val list =
      listOf(
        "# NOTE: Do not modify this file.",
        "java/lang/Object id: 0",
        "java/lang/String",
        "@lambda-proxy knit/am/MainKt run ()Ljava/lang/Runnable;",
        "some/Other id: 9 super: 0 source: /x.jar",
        "",
      )
    assertEquals(listOf("java.lang.Object", "java.lang.String"), classesIn(list))
  }

  @Test
  fun ourOwnClassesAreThoseOfTheApplicationMasterAndItsContract() {
    val jar = jar("knit.jar", "knit/am/MainKt.class", "knit/v1/X.class", "knit/client/Y.class", "knit/am/a.sh", "knit/shaded/Z.class")
    assertEquals(listOf("knit.am.MainKt", "knit.v1.X"), ownClasses(jar))
  }

  @Test
  fun aFileOfADirectoryThatIsInAJarTooIsFoundWhereverItLies() {
    val conf = configuration("core-site.xml", "deep/er/some.properties")
    val jars = listOf(jar("a.jar", "core-default.xml"), jar("b.jar", "er/some.properties"))
    assertNull(hiddenByJars(listOf(conf.toPath()), jars))
    val hiding = jar("c.jar", "deep/er/some.properties")
    val sentence = hiddenByJars(listOf(conf.toPath()), jars + hiding)
    assertTrue(sentence != null && "deep/er/some.properties" in sentence && "c.jar" in sentence, sentence)
  }

  @Test
  fun jarsThatAManifestPutsOnTheClassPathAreLookedIntoToo() {
    val conf = configuration("core-site.xml")
    val hiding = jar("lib/hiding.jar", "core-site.xml")
    val middle = jar("lib/middle.jar", classPath = "hiding.jar middle.jar")
    val first = jar("first.jar", classPath = "lib/middle.jar absent.jar")
    val all = withThoseTheyName(listOf(first))
    assertEquals(listOf(first, middle, hiding), all)
    assertTrue(hiddenByJars(listOf(conf.toPath()), all) != null)
  }
}

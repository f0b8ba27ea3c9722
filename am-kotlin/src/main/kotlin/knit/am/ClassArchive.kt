package knit.am

import java.io.File
import java.nio.file.FileVisitOption
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.Paths
import java.util.jar.JarFile
import kotlin.system.exitProcess

private const val EXIT_HIDDEN = 1

/**
 * Loads what the start of an Application Master has loaded, for the JVM to put it into an archive when this ends.
 *
 * The launch script runs it with `-XX:ArchiveClassesAtExit`, the list that `-XX:DumpLoadedClassList` has written, and
 * the directories that an Application Master with the archive will have at the end of its class path.
 */
fun main(arguments: Array<String>) {
  val jars = withThoseTheyName(System.getProperty("java.class.path").split(File.pathSeparator).map(::File))
  val hidden = hiddenByJars(arguments.drop(1).map { Paths.get(it) }, jars)
  if (hidden != null) {
    System.err.println("knit: $hidden")
    exitProcess(EXIT_HIDDEN)
  }
  val loader = checkNotNull(Thread.currentThread().contextClassLoader)
  for (name in classesIn(File(arguments[0]).readLines()) + ownClasses(jars.first())) {
    try {
      Class.forName(name, false, loader)
    } catch (
      @Suppress("SwallowedException") absent: ClassNotFoundException,
    ) {
      continue // made at run time
    } catch (
      @Suppress("SwallowedException") incomplete: LinkageError,
    ) {
      continue // it refers to what this Hadoop does not have
    }
  }
}

/** The names in a list of classes that their names alone can load again. */
internal fun classesIn(list: List<String>): List<String> =
  list
    .filterNot { it.startsWith("#") || it.startsWith("@") || " source: " in it }
    .map { it.substringBefore(' ').replace('/', '.') }
    .filter { it.isNotEmpty() }

/** All of our own, for the application that wrote the list may have had no client that follows a log. */
internal fun ownClasses(jar: File): List<String> =
  JarFile(jar).use { open ->
    open
      .entries()
      .asSequence()
      .map { it.name }
      .filter { name -> name.endsWith(".class") && OWN.any { name.startsWith(it) } }
      .map { it.removeSuffix(".class").replace('/', '.') }
      .toList()
  }

/** A sentence on a file below one of [directories] that is in one of [jars] too, so that their order matters; null if there is none. */
internal fun hiddenByJars(
  directories: List<Path>,
  jars: List<File>,
): String? {
  val names =
    directories.flatMap { directory ->
      Files.walk(directory, FileVisitOption.FOLLOW_LINKS).use { paths ->
        paths
          .filter { Files.isRegularFile(it) }
          .map { directory.relativize(it).joinToString("/") }
          .toArray()
          .map { it as String }
      }
    }
  for (jar in jars) {
    JarFile(jar).use { open ->
      names.firstOrNull { open.getEntry(it) != null }?.let { return "$it is in a directory of the class path and in $jar" }
    }
  }
  return null
}

/** These [jars] and those that their manifests put on the class path. */
internal fun withThoseTheyName(jars: List<File>): List<File> {
  val found = LinkedHashSet<File>()
  val open = ArrayDeque(jars)
  while (open.isNotEmpty()) {
    val jar = open.removeFirst()
    if (!jar.isFile || !found.add(jar)) continue
    val named = JarFile(jar).use { it.manifest?.mainAttributes?.getValue("Class-Path") } ?: continue
    named.split(' ').filter { it.isNotEmpty() }.forEach { open.addLast(File(jar.toURI().resolve(it).path)) }
  }
  return found.toList()
}

private val OWN = listOf("knit/am/", "knit/v1/")

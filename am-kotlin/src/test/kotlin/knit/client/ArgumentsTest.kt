package knit.client

import knit.am.core.Resource
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Path
import java.time.Duration

/** What people type, and what it means. */
class ArgumentsTest {
  private fun parse(vararg words: String) = checkNotNull(Arguments.parse(words.toList()))

  private fun complaint(vararg words: String) =
    assertThrows(UsageException::class.java) { Arguments.parse(words.toList()) }.message.orEmpty()

  @Test
  fun theDefaultsAreThoseOfKnit011() {
    val request = parse("-C", "date")
    assertEquals("date", request.command)
    assertEquals(1, request.instances)
    assertEquals(Resource(memoryMib = 128, vcores = 1), request.resource)
    assertEquals("knit" to "default", request.name to request.queue)
    assertEquals(emptyList<FileSource>(), request.everyFile)
    assertEquals(emptyMap<String, String>(), request.environment)
    assertFalse(request.wait)
    assertNull(request.timeout)
  }

  @Test
  fun everyDocumentedOptionHasItsShortAndItsLongName() {
    val short = parse("-n", "3", "-m", "256", "-c", "2", "-C", "x", "-p", "dev.zip")
    val long = parse("--numContainers", "3", "--memory", "256", "--virtualCores", "2", "--command", "x", "--pythonEnv", "dev.zip")
    val joined = parse("-n3", "--memory=256", "-c2", "--command=x", "-p=dev.zip")
    for (request in listOf(short, long, joined)) {
      assertEquals(3, request.instances)
      assertEquals(Resource(memoryMib = 256, vcores = 2), request.resource)
      assertEquals("x", request.command)
      assertEquals("PYTHON_DIR", request.pythonEnvironment?.name)
      assertTrue(checkNotNull(request.pythonEnvironment).isArchive)
    }
  }

  @Test
  fun theHelpHasTheDocumentedOptionsAndWords() {
    val help = Arguments.help()
    val documented =
      listOf(
        "-n, --numContainers" to "Number of YARN containers",
        "-m, --memory" to "Amount of memory per container",
        "-c, --virtualCores" to "Virtual cores per container",
        "-C, --command" to "Command to run in containers",
        "-p, --pythonEnv" to "Python environment",
        "--help" to "",
      )
    for ((option, words) in documented) {
      assertTrue(option in help, option)
      assertTrue(words in help, words)
    }
    for (later in listOf("--queue", "--name", "--files", "--env", "--masterPorts", "--wait", "--timeout", "--debug")) {
      assertTrue(later in help, later)
    }
    assertTrue(help.lines().all { it.length <= 80 }, help)
    assertNull(Arguments.parse(listOf("--help")))
    assertNull(Arguments.parse(listOf("-n", "2", "--help")))
  }

  @Test
  fun aCommandIsTakenAsItIs() {
    val commands = listOf("@file", "it's \"x\" \$HOME \\ `y`", "a,b", "-x", "a\nb\n", " x ", "\${sys:user.home}", "%n", "''", "grün ✓")
    for (command in commands) assertEquals(command, parse("-C", command).command)
  }

  @Test
  fun filesComeWithCommasOrAgainOrBoth() {
    val request = parse("-C", "x", "--files", "/a/one.txt,two.py#2", "--files", "hdfs://nn/three.csv,hdfs:///x/y%20z#four")
    assertEquals(listOf("one.txt", "2", "three.csv", "four"), request.files.map { it.name })
    assertEquals(listOf(true, true, false, false), request.files.map { it.localFile != null })
    assertTrue(request.files.none { it.isArchive })
  }

  @Test
  fun variablesAreTakenLiterally() {
    val request = parse("-C", "x", "--env", "A=b=c,d", "--env", "E=", "--env", "HOME=\$X 'y'")
    assertEquals(mapOf("A" to "b=c,d", "E" to "", "HOME" to "\$X 'y'"), request.environment)
  }

  @Test
  fun portsAreARangeOrOne() {
    assertNull(parse("-C", "x").masterPorts)
    assertEquals(50_100..50_200, parse("-C", "x", "--masterPorts", "50100-50200").masterPorts)
    assertEquals(65_535..65_535, parse("-C", "x", "--masterPorts", "65535").masterPorts)
  }

  @Test
  fun aTimeLimitIsWrittenAsPeopleDo() {
    val table = mapOf("90" to 90_000L, "90s" to 90_000L, "5m" to 300_000L, "1h30m" to 5_400_000L, "2d" to 172_800_000L, "0.5s" to 500L)
    for ((text, millis) in table) {
      assertEquals(Duration.ofMillis(millis), parse("-C", "x", "--wait", "--timeout", text).timeout, text)
    }
    for (wrong in listOf("", "soon", "0", "-1", "1w", "99999d")) assertNotNull(complaint("-C", "x", "--wait", "--timeout", wrong))
  }

  @Test
  fun whatMakesNoSenseIsToldInOneSentenceWithItsOption() {
    val table =
      mapOf(
        listOf("-n", "1") to "--command",
        listOf("-C", " \t") to "--command",
        listOf("-C") to "--command",
        listOf("-C", "x", "-n", "0") to "--numContainers",
        listOf("-C", "x", "-n", "-1") to "--numContainers",
        listOf("-C", "x", "-n", "many") to "--numContainers",
        listOf("-C", "x", "-n", "9999999999") to "--numContainers",
        listOf("-C", "x", "-m", "0") to "--memory",
        listOf("-C", "x", "-c", "-3") to "--virtualCores",
        listOf("-C", "x", "-p", "dev.rar") to ".tar.gz",
        listOf("-C", "x", "--queue", "") to "--queue",
        listOf("-C", "x", "--name", " ") to "--name",
        listOf("-C", "x", "--env", "1A=x") to "1A",
        listOf("-C", "x", "--env", "KNIT_RANK=7") to "KNIT_RANK",
        listOf("-C", "x", "--files", "a#") to "a#",
        listOf("-C", "x", "--files", "a#b/c") to "b/c",
        listOf("-C", "x", "--files", "launch_container.sh") to "launch_container.sh",
        listOf("-C", "x", "--files", "hdfs://nn/a b") to "hdfs://nn/a b",
        listOf("-C", "x", "--timeout", "5s") to "--wait",
        listOf("-C", "python", "x.py") to "quotes",
        listOf("-C", "x", "--nonsense") to "--nonsense",
        listOf("-C", "x", "-n", "1", "-n", "2") to "--numContainers",
        listOf("-C", "x\uFFFDy") to "LANG",
        listOf("-C", "x".repeat(131_072)) to "131071",
        listOf("-C", "x", "--env", "A=${"x".repeat(131_070)}") to "A and its value have",
        listOf("-C", "x") + (0..8).flatMap { listOf("--env", "V$it=${"x".repeat(120_000)}") } to "1048576",
        listOf("-C", "x", "--files", "file:x#a:b") to "':'",
        listOf("-C", "x", "--files", "a#${"é".repeat(128)}") to "256 bytes",
        listOf("-C", "x", "--files", "a#\uD800") to "UTF-8",
        listOf("-C", "x", "--files", "tmp") to "YARN's own",
        listOf("-C", "x", "--files", ".home") to "home",
        listOf("-C", "x", "--masterPorts", "0-5") to "--masterPorts",
        listOf("-C", "x", "--masterPorts", "9-8") to "--masterPorts",
        listOf("-C", "x", "--masterPorts", "50000-65536") to "--masterPorts",
        listOf("-C", "x", "--masterPorts", "50000..") to "--masterPorts",
      )
    for ((words, hint) in table) {
      val said = complaint(*words.toTypedArray())
      assertTrue(hint in said, "$words: $said")
      assertFalse('\n' in said, said)
    }
  }

  @Test
  fun aSecretIsNotRepeated() {
    assertFalse("hunter2" in complaint("-C", "x", "--env", "bad name=hunter2"))
    assertFalse("hunter2" in complaint("-C", "x", "--env", "KNIT_RANK=hunter2"))
  }

  @Test
  fun theMainClassMayBeNamedAlthoughTheJarNamesIt() {
    assertEquals(listOf("-n", "1"), ClientCommand.withoutMainClass(listOf("io.continuum.knit.Client", "-n", "1")))
    assertEquals(listOf("-n", "1"), ClientCommand.withoutMainClass(listOf("io/continuum/knit/Client", "-n", "1")))
    assertEquals(listOf("-n", "1"), ClientCommand.withoutMainClass(listOf("-n", "1")))
    assertEquals(emptyList<String>(), ClientCommand.withoutMainClass(emptyList()))
  }

  @Test
  fun filesThatCannotBeSentAreToldBeforeAnythingElse(
    @TempDir directory: Path,
  ) {
    val file = directory.resolve("a.txt").toFile().apply { writeText("x") }

    fun refusal(vararg files: String) =
      assertThrows(RefusedException::class.java) { files.map { FileSource.of(it) }.checkAll() }.message.orEmpty()
    assertTrue("does not exist" in refusal("$directory/none"))
    assertTrue("is a directory" in refusal("$directory"))
    assertTrue("'a.txt'" in refusal("$file", "hdfs://nn/a.txt"))
    listOf(FileSource.of("$file"), FileSource.of("$file#b"), FileSource.of("file://$file#c")).checkAll()
  }

  @Test
  fun aHashInTheNameOfAFileThatExistsBelongsToIt(
    @TempDir directory: Path,
  ) {
    val file = directory.resolve("a#b").toFile().apply { writeText("x") }
    assertEquals("a#b", FileSource.of("$file").name)
    assertEquals("c", FileSource.of("$file#c").name)
  }
}

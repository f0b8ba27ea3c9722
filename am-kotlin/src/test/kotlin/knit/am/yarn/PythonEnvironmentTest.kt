package knit.am.yarn

import knit.am.core.LocalResource
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.attribute.PosixFilePermissions
import java.util.concurrent.TimeUnit
import kotlin.io.path.createDirectories
import kotlin.io.path.createSymbolicLinkPointingTo
import kotlin.io.path.exists
import kotlin.io.path.getPosixFilePermissions
import kotlin.io.path.isSymbolicLink
import kotlin.io.path.readText
import kotlin.io.path.setPosixFilePermissions
import kotlin.io.path.writeText

/** Runs the activation of a Python environment as a container would, on environments whose programs are small scripts. */
@Timeout(60)
class PythonEnvironmentTest {
  @TempDir
  lateinit var root: Path

  /** Where the tools of the environments record each of their runs. */
  private lateinit var record: Path

  private var containerCount = 0

  @BeforeEach
  fun prepare() {
    // As it is for a container: everything on the way to a copy may be passed by everyone.
    root = root.toRealPath().resolve("a node's \"disk\"").createDirectories()
    generateSequence(root) { it.parent }.take(2).forEach { it.allow("rwxr-xr-x") }
    record = root.resolve("record").apply { writeText("") }
    record.allow("rw-rw-rw-")
  }

  private class Ran(
    val stdout: String,
    val stderr: String,
    val exitCode: Int,
  )

  private val records: List<String>
    get() = record.readText().lines().dropLast(1)

  private fun Path.allow(permissions: String) = setPosixFilePermissions(PosixFilePermissions.fromString(permissions))

  /** Puts an environment into [directory]: its programs by name, each a script of the shell. Its Python runs any script. */
  private fun environment(
    directory: Path = root.resolve("cache/12/env.tar.gz"),
    python: String? = "python",
    tools: Map<String, String> = emptyMap(),
  ): Path {
    val bin = directory.resolve("bin").createDirectories()
    val programs = if (python == null) tools else tools + (python to "exec /bin/sh \"\$@\"")
    for ((name, text) in programs) bin.resolve(name).apply { writeText("#!/bin/sh\n$text\n") }.allow("r-x------")
    return directory
  }

  /** A tool that records how it was called and by what. */
  private fun recorder(more: String = "") =
    "echo \"\${0##*/} \$# \${1##*/} \${PWD##*/}\" >> ${quoted(record.toString())}; echo words of the tool; $more"

  /** The container's working directory, with [environment] linked as YARN would. */
  private fun container(environment: Path): Path =
    root.resolve("container ${containerCount++}").createDirectories().also {
      it.allow("rwxrwxrwx")
      it.resolve(NAME).createSymbolicLinkPointingTo(environment)
    }

  private fun start(
    directory: Path,
    command: String = SHOW,
    environment: Map<String, String> = emptyMap(),
    shell: List<String> = listOf("/bin/bash"),
    edit: (String) -> String = { it },
  ): Process =
    ProcessBuilder(shell + listOf("-c", edit(LaunchSpec(command, environment, emptyMap(), NAME).script())))
      .directory(directory.toFile())
      .redirectInput(File("/dev/null"))
      .redirectOutput(directory.resolve("stdout").toFile())
      .redirectError(directory.resolve("stderr").toFile())
      .start()

  private fun Process.ended(directory: Path): Ran {
    assertTrue(waitFor(30, TimeUnit.SECONDS), "the container ends")
    return Ran(directory.resolve("stdout").readText(), directory.resolve("stderr").readText(), exitValue())
  }

  private fun run(
    environmentPath: Path,
    command: String = SHOW,
    environment: Map<String, String> = emptyMap(),
    edit: (String) -> String = { it },
  ): Ran = container(environmentPath).let { start(it, command, environment, edit = edit).ended(it) }

  private fun assertShows(
    place: Path,
    ran: Ran,
  ) {
    assertEquals("$place|$place/bin/python|$place/bin\n", ran.stdout, ran.stderr)
    assertEquals(0, ran.exitCode)
  }

  @Test
  fun anEnvironmentIsActivatedUnderItsRealPath() {
    val environment = environment()
    val ran = run(environment)
    assertShows(environment, ran)
    assertEquals("", ran.stderr)
    assertEquals("by python\n", run(environment, "echo 'echo by python' > a.py && \"\$PYTHON_BIN\" a.py").stdout)
  }

  @Test
  fun whatNeedsNothingIsLeftAsItIs() {
    val environment = environment()
    run(environment)
    assertEquals(setOf("bin"), environment.names())
    assertEquals("r-x------", PosixFilePermissions.toString(environment.resolve("bin/python").getPosixFilePermissions()))
  }

  @Test
  fun anEnvironmentMayLieInTheOnlyDirectoryThatIsOne() {
    val archive = root.resolve("cache/13/dev.zip")
    environment(archive.resolve("dev"), tools = mapOf("conda-unpack" to recorder()))
    archive.resolve("__MACOSX/dev").createDirectories()
    assertShows(archive.resolve("dev"), run(archive))
    assertEquals(listOf("conda-unpack 0  dev"), records)
  }

  @Test
  fun whatIsNoEnvironmentIsRefusedInOneSentenceAndNothingIsRun() {
    val empty = root.resolve("cache/1").createDirectories()
    val file = root.resolve("cache/file").apply { writeText("not unpacked") }
    val two = root.resolve("cache/2")
    environment(two.resolve("a"))
    environment(two.resolve("b"))
    val other = environment(root.resolve("cache/3"), python = "ruby")
    for (path in listOf(empty, file, two, other, root.resolve("cache/nowhere"))) {
      val ran = run(path)
      assertEquals(1, ran.exitCode, "$path")
      assertEquals("", ran.stdout, "$path")
      assertTrue(Regex("knit: PY DIR is no Python environment: .*\\.\n").matches(ran.stderr), ran.stderr)
    }
  }

  /** An environment as its archive [path], which a container finds packed. */
  private fun packed(
    path: Path = root.resolve("cache/20/env.tar.gz"),
    tools: Map<String, String> = emptyMap(),
    inDirectory: String = ".",
  ): Path {
    val source = Files.createTempDirectory(root, "source")
    environment(source.resolve(inDirectory), tools = tools)
    path.parent.createDirectories()
    val how = if (path.toString().endsWith(".tar")) "-cf" else "-czf"
    val tar = ProcessBuilder("tar", "-C", source.toString(), how, path.toString(), ".").inheritIO().start()
    assertEquals(0, tar.waitFor())
    return path
  }

  @Test
  fun aTarArchiveIsUnpackedBesideItOnceForAllContainers() {
    for ((index, name) in listOf("env.tar.gz", "env.tgz", "env.tar").withIndex()) {
      val archive = packed(root.resolve("cache/${20 + index}/$name"), tools = mapOf("conda-unpack" to recorder()))
      val place = archive.resolveSibling(".knit-environment")
      repeat(2) { assertShows(place, run(archive)) }
      assertEquals(setOf(name, ".knit-environment"), archive.parent.names())
      assertEquals(index + 1, records.size, "once for each")
    }
    val deep = packed(root.resolve("cache/30/env.tgz"), inDirectory = "dev")
    assertShows(deep.resolveSibling(".knit-environment").resolve("dev"), run(deep))
  }

  @Test
  fun whatWasUnpackedIsThereUnderTheResourcesName() {
    assertEquals("python\n", run(packed(), "ls \"$NAME/bin\"").stdout)
  }

  @Test
  fun ofContainersThatStartTogetherOneUnpacksAndTheOthersWait() {
    val archive = packed(tools = mapOf("conda-unpack" to recorder("touch done")))
    val count = "tar() { echo tar >> ${quoted(record.toString())}; sleep 1; command tar \"\$@\"; }\n"
    val containers =
      List(6) { container(archive) }.associateWith { start(it, "test -e \"\$CONDA_PREFIX/done\" && $SHOW") { script -> count + script } }
    containers.forEach { (directory, process) -> assertShows(archive.resolveSibling(".knit-environment"), process.ended(directory)) }
    assertEquals(listOf("tar", "conda-unpack 0  .knit-environment"), records)
  }

  @Test
  fun anArchiveThatIsNoneIsRefusedAndLeavesNothing() {
    val archive = root.resolve("cache/20/env.tar.gz").apply { parent.createDirectories() }
    archive.writeText("this was never packed")
    val ran = run(archive)
    assertEquals(1, ran.exitCode)
    assertEquals("", ran.stdout)
    val place = archive.resolveSibling(".knit-environment")
    assertTrue(
      ran.stderr.endsWith("knit: The Python environment $archive could not be unpacked to $place. The reason is above.\n"),
      ran.stderr,
    )
    assertEquals(setOf("env.tar.gz"), archive.parent.names())
  }

  @Test
  fun aContainerThatWasKilledWhileUnpackingHoldsUpNobody() {
    val archive = packed()
    val place = archive.resolveSibling(".knit-environment")
    val slow = "tar() { touch ${quoted("$place.part/half")}; exec sleep 50; }\n"
    val killed = start(container(archive)) { slow + it }
    while (!place.resolveSibling("${place.fileName}.part/half").exists()) Thread.sleep(10)
    val next = container(archive).let { it to start(it) }
    assertFalse(next.second.waitFor(500, TimeUnit.MILLISECONDS), "the lock is held")
    (killed.descendants().toList() + killed.toHandle()).forEach { it.destroyForcibly() }
    assertShows(place, next.second.ended(next.first))
    assertFalse(place.resolve("half").exists())
  }

  @Test
  fun whereNothingCanBeUnpackedBesideItEachContainerHasItsOwn() {
    val archive = packed(tools = mapOf("conda-unpack" to recorder()))
    val container = container(archive)
    val ran = start(container) { "flock() { return 71; }\n$it" }.ended(container)
    assertShows(container.resolve(".knit-environment"), ran)
    assertEquals(listOf("conda-unpack 0  .knit-environment"), records)
    assertEquals(setOf("env.tar.gz"), archive.parent.names())
  }

  @Test
  fun condaUnpackIsRunByTheEnvironmentsPythonOnceForEachPlace() {
    // Its own first line names a Python that the node need not have.
    val environment = environment(tools = mapOf("conda-unpack" to recorder()))
    repeat(2) { assertShows(environment, run(environment)) }
    assertEquals(listOf("conda-unpack 0  env.tar.gz"), records)
    assertEquals("$environment\n", environment.resolve(".knit-unpacked").readText())

    val moved = root.resolve("cache/14/env.tar.gz").apply { parent.createDirectories() }
    Files.move(environment, moved)
    repeat(2) { assertShows(moved, run(moved)) }
    assertEquals(2, records.size)
  }

  @Test
  fun knitUnpackComesFirstAndIsToldThePlace() {
    val environment = environment(tools = mapOf("conda-unpack" to recorder(), "knit-unpack" to recorder("test \"\$1\" = \"\$PWD\"")))
    environment.resolve("bin/knit-unpack").allow("r--------")
    assertShows(environment, run(environment))
    assertEquals(listOf("knit-unpack 1 env.tar.gz env.tar.gz"), records)
  }

  @Test
  fun whatToolsSayIsNotTheProgramsOutput() {
    val ran = run(environment(tools = mapOf("conda-unpack" to recorder("cat"))), "cat; echo done")
    assertEquals("done\n", ran.stdout)
    assertEquals("words of the tool\n", ran.stderr)
  }

  @Test
  fun ofContainersThatStartTogetherOneMakesItFitAndTheOthersWait() {
    val tool = recorder("sleep 1; touch done")
    val environment = environment(tools = mapOf("conda-unpack" to tool))
    val containers = List(6) { container(environment) }.associateWith { start(it, "test -e \"\$CONDA_PREFIX/done\" && $SHOW") }
    containers.forEach { (directory, process) -> assertShows(environment, process.ended(directory)) }
    assertEquals(1, records.size)
  }

  @Test
  fun aContainerThatWasKilledWhileMakingItFitHoldsUpNobody() {
    val once = "test -e begun && exit 0; touch begun; exec sleep 50"
    val environment = environment(tools = mapOf("conda-unpack" to recorder(once)))
    val killed = start(container(environment))
    while (!environment.resolve("begun").exists()) Thread.sleep(10)
    val next = container(environment).let { it to start(it) }
    assertFalse(next.second.waitFor(500, TimeUnit.MILLISECONDS), "the lock is held")
    // As a NodeManager does: all that the container has started ends with it.
    (killed.descendants().toList() + killed.toHandle()).forEach { it.destroyForcibly() }
    assertShows(environment, next.second.ended(next.first))
    assertEquals(2, records.size)
  }

  @Test
  fun waitingForAnotherContainerEnds() {
    val environment = environment(tools = mapOf("conda-unpack" to recorder("exec sleep 50")))
    val first = start(container(environment))
    while (records.isEmpty()) Thread.sleep(10)
    val ran = run(environment) { it.replace("600", "1") }
    assertEquals(1, ran.exitCode)
    assertEquals("", ran.stdout)
    assertTrue("knit: Another container has been making $environment fit for 10 minutes." in ran.stderr, ran.stderr)
    (first.descendants().toList() + first.toHandle()).forEach { it.destroyForcibly() }
  }

  @Test
  fun aToolThatFailsEndsTheContainerAndIsTriedAgainByTheNext() {
    val environment = environment(tools = mapOf("conda-unpack" to recorder("test -e mended")))
    val ran = run(environment)
    assertEquals(1, ran.exitCode)
    assertEquals("", ran.stdout)
    assertEquals(
      "words of the tool\nknit: The Python environment could not be made to fit to $environment. The reason is above.\n",
      ran.stderr,
    )
    environment.resolve("mended").writeText("")
    assertShows(environment, run(environment))
  }

  @Test
  fun filesThatYarnHasMadeReadOnlyAreMadeWritableForTheTool() {
    val environment = environment(tools = mapOf("conda-unpack" to "echo fixed >> lib/module.py"))
    val module = environment.holding("lib/module.py", "")
    module.allow("r-x------")
    assertShows(environment, run(environment))
    assertEquals("fixed\n", module.readText())
    assertEquals("rwx------", PosixFilePermissions.toString(module.getPosixFilePermissions()))
  }

  @Test
  fun onlyPython3AndNoRightToRunItAreEnough() {
    val environment = environment(python = "python3")
    environment.resolve("bin/python3").allow("r--r--r--")
    assertShows(environment, run(environment))
    assertTrue(environment.resolve("bin/python").isSymbolicLink())
    assertEquals("by python\n", run(environment, "echo 'echo by python' > a.py && \"\$PYTHON_BIN\" a.py").stdout)
  }

  /** A copy for all users, as a NodeManager makes of PUBLIC files, and a container that runs as another user. */
  @Test
  fun aCopyThatBelongsToAnotherIsCopiedAndLeftAsItIs() {
    val environment = environment(tools = mapOf("conda-unpack" to recorder("touch fixed")))
    val lib = environment.resolve("lib").createDirectories()
    lib.resolve("link").createSymbolicLinkPointingTo(Path.of("../bin/python"))
    Files.walk(environment).use { paths -> paths.filter { !it.isSymbolicLink() }.forEach { it.allow("r-xr-xr-x") } }
    val shell =
      if (root.toFile().canWrite() && environment.toFile().canWrite()) {
        assumeTrue(Path.of("/usr/bin/setpriv").exists(), "root needs setpriv to become somebody else")
        listOf("/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/bash")
      } else {
        listOf("/bin/bash")
      }
    repeat(2) {
      val container = container(environment)
      val own = container.resolve(".knit-environment")
      assertShows(own, start(container, shell = shell).ended(container))
      assertTrue(own.resolve("fixed").exists())
      assertEquals(Path.of("../bin/python"), Files.readSymbolicLink(own.resolve("lib/link")))
    }
    assertEquals(List(2) { "conda-unpack 0  .knit-environment" }, records)
    assertEquals(setOf("bin", "lib"), environment.names())
    Files.walk(root).use { paths -> paths.filter { Files.isDirectory(it) }.forEach { it.allow("rwxrwxrwx") } }
  }

  @Test
  fun whereThereAreNoLocksEachContainerHasItsOwnCopy() {
    val environment = environment(tools = mapOf("conda-unpack" to recorder()))
    val container = container(environment)
    val ran = start(container) { "flock() { return 71; }\n$it" }.ended(container)
    assertShows(container.resolve(".knit-environment"), ran)
    assertEquals(setOf("bin"), environment.names())
  }

  @Test
  fun whatCondasPackagesSetIsSetAndTheirFailuresStopNothing() {
    val environment = environment()
    environment.holding("etc/conda/activate.d/1-gdal.sh", "export GDAL_DATA=\"\$CONDA_PREFIX/share\"; echo noise; cat\n")
    environment.holding("etc/conda/activate.d/2-fails.sh", "set -eu; set -- lost; prefix=lost; script=lost; return 3\n")
    environment.holding("etc/conda/activate.d/3-unset.sh", "test -z \$NOT_SET_ANYWHERE; no-such-program-here; false\n")
    environment.holding("etc/conda/activate.d/4-wrong.sh", "if then\n")
    environment.holding("etc/conda/activate.d/5-last.sh", "export LAST=5\n")
    environment.holding("etc/conda/activate.d/6-not-for-us.fish", "exit 9\n")
    val ran = run(environment, "echo \"\$GDAL_DATA \$LAST\"; cat; $SHOW")
    assertEquals("$environment/share 5\n$environment|$environment/bin/python|$environment/bin\n", ran.stdout, ran.stderr)
    assertEquals(0, ran.exitCode)
  }

  @Test
  fun theServicesOwnVariablesComeAfterTheEnvironments() {
    val environment = environment()
    environment.holding("etc/conda/activate.d/a.sh", "export GDAL_DATA=conda PROJ=conda\n")
    val own = mapOf("CONDA_PREFIX" to "mine", "GDAL_DATA" to "it's \$mine", "PATH" to "/usr/bin:/bin")
    val ran = run(environment, "echo \"\$CONDA_PREFIX|\$PYTHON_BIN|\$GDAL_DATA|\$PROJ|\$PATH\"", own)
    assertEquals("mine|$environment/bin/python|it's \$mine|conda|/usr/bin:/bin\n", ran.stdout)
  }

  @Test
  fun nothingOfTheActivationIsLeftForTheProgram() {
    val left = run(environment(tools = mapOf("conda-unpack" to recorder())), "env; set; declare -F; ls -A; ls /proc/self/fd").stdout
    assertFalse(Regex("(?i)knit_|\\.knit|^9$", RegexOption.MULTILINE).containsMatchIn(left), left)
  }

  @Test
  fun anEnvironmentUnderTwoNamesIsOne() {
    val archive = LocalResource("hdfs://nn/env.zip", 1, 2, LocalResource.Type.ARCHIVE, LocalResource.Visibility.PRIVATE)
    val environment = environment()
    val container = container(environment)
    Files.move(container.resolve(NAME), container.resolve("first"))
    val spec = LaunchSpec(SHOW, emptyMap(), mapOf("first" to archive, NAME to archive), NAME)
    assertEquals(setOf("first"), spec.distinctResources().keys)
    assertShows(environment, start(container) { spec.script() }.ended(container))
  }

  @Test
  fun yarnLeavesTarArchivesPackedThatContainersCanUnpackAndUnpacksAllOthers() {
    fun asked(
      url: String,
      visibility: LocalResource.Visibility = LocalResource.Visibility.PRIVATE,
    ): LocalResource.Type? {
      val archive = LocalResource(url, 1, 2, LocalResource.Type.ARCHIVE, visibility)
      return LaunchSpec(SHOW, emptyMap(), mapOf(NAME to archive, "other" to archive), NAME)
        .also { assertEquals(LocalResource.Type.ARCHIVE, it.localResources.getValue("other").type) }
        .distinctResources()[NAME]
        ?.type
    }
    for (ending in listOf("tar", "tar.gz", "tgz")) assertEquals(LocalResource.Type.FILE, asked("hdfs://nn/env.$ending"), ending)
    assertEquals(LocalResource.Type.ARCHIVE, asked("hdfs://nn/env.zip"))
    assertEquals(LocalResource.Type.FILE, asked("hdfs://nn/env.tgz", LocalResource.Visibility.APPLICATION))
    assertEquals(LocalResource.Type.ARCHIVE, asked("hdfs://nn/env.tgz", LocalResource.Visibility.PUBLIC))
  }

  @Test
  fun whatEveryLaunchCarriesIsSmall() {
    val plain = LaunchSpec("date", emptyMap(), emptyMap())
    val activated = plain.copy(pythonEnvironment = NAME)
    assertTrue(activated.script().length - plain.script().length < 3_500)
    assertFalse("\n#" in activated.script())
  }

  private fun Path.holding(
    file: String,
    text: String,
  ): Path =
    resolve(file).also {
      it.parent.createDirectories()
      it.writeText(text)
    }

  private fun Path.names(): Set<String> = toFile().list().orEmpty().toSet()

  private companion object {
    /** A name that the shell would take apart. */
    const val NAME = "PY DIR"

    /** Prints what the activation has set, of the PATH the first entry. */
    const val SHOW = "echo \"\$CONDA_PREFIX|\$PYTHON_BIN|\${PATH%%:*}\""
  }
}

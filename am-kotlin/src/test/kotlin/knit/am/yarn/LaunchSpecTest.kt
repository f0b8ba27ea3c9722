package knit.am.yarn

import knit.am.AccessControl
import knit.am.core.ContainerKey
import knit.am.core.LocalResource
import knit.am.core.MAX_ARGUMENT_BYTES
import knit.am.core.MAX_LAUNCH_BYTES
import knit.am.core.PlaceKey
import knit.am.core.Resource
import knit.am.core.lease
import knit.am.core.problemInLaunch
import knit.am.security.HeldTokens
import knit.am.security.serialized
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.apache.hadoop.yarn.api.records.ApplicationAccessType
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.TimeUnit

/** Runs what YARN would run, through the shell it would use. */
class LaunchSpecTest {
  @TempDir
  lateinit var directory: Path

  private class Ran(
    val stdout: String,
    val stderr: String,
    val exitCode: Int,
  )

  /** What every container of the user has: bytes that are no text, among them tokens for HDFS. */
  private val credentials =
    Credentials().apply {
      addToken(Text("hdfs"), Token<TokenIdentifier>(ByteArray(256) { it.toByte() }, "\n\u0000".toByteArray(), Text("HDFS"), Text("nn")))
      repeat(8) { addSecretKey(Text("users.own.$it"), ByteArray(256) { byte -> byte.toByte() }) }
    }
  private val tokens
    get() = directory.resolve("container_tokens").toFile()

  /** As a NodeManager does: credentials in a file, the command pasted into `exec /bin/bash -c "…"`, and a pipe for stdin. */
  private fun run(
    spec: LaunchSpec,
    environment: Map<String, String> = emptyMap(),
  ): Ran {
    val logs = Files.createDirectories(directory.resolve("logs"))
    val context = LaunchContexts(HeldTokens(credentials)).of(spec)
    assertEquals(emptyMap<String, String>(), context.environment, "launch_container.sh holds nothing of it")
    tokens.writeBytes(ByteArray(context.tokens.remaining()).also { context.tokens.duplicate().get(it) })
    val command = context.commands.single().replace("<LOG_DIR>", logs.toString())
    val script = directory.resolve("launch_container.sh").toFile()
    script.writeText("#!/bin/bash\nset -o pipefail -e\nexport HADOOP_TOKEN_FILE_LOCATION=\"$tokens\"\nexec /bin/bash -c \"$command\"\n")
    val builder = ProcessBuilder("bash", script.path).directory(directory.toFile())
    builder.environment().apply { keys.retainAll(setOf("PATH")) }.putAll(environment)
    val process = builder.start()
    assertTrue(process.waitFor(20, TimeUnit.SECONDS))
    return Ran(logs.resolve("stdout").toFile().readText(), logs.resolve("stderr").toFile().readText(), process.exitValue())
  }

  private fun spec(
    command: String,
    environment: Map<String, String> = emptyMap(),
  ) = LaunchSpec(command, environment, emptyMap())

  @Test
  fun aCommandMeansWhatItMeantWhenTyped() {
    val table =
      listOf(
        """echo hello""" to "hello\n",
        """echo "it's" 'a "test"'""" to "it's a \"test\"\n",
        """x=5; echo ${'$'}x ${'$'}((x + 1)) "${'$'}(echo sub)" `echo ticks`""" to "5 6 sub ticks\n",
        """printf '%s\n' '\n' "\\" \\""" to "\\n\n\\\n\\\n",
        """echo '{{HOME}} <LOG_DIR> <CPS> %PATH% !x #y'""" to "{{HOME}} <LOG_DIR> <CPS> %PATH% !x #y\n",
        "echo one\necho two" to "one\ntwo\n",
        "cat <<'END'\n\$HOME `date` \"q\" 'q'\nEND" to "\$HOME `date` \"q\" 'q'\n",
        "for i in 1 2 3; do echo \$i; done | tail -1" to "3\n",
        "echo ünïcode ☃" to "ünïcode ☃\n",
        "echo trailing # comment" to "trailing\n",
        "echo \$0; test -z \"\${KNIT_LAUNCH+set}\" && test -z \"\${knit_launch+set}\" && echo clean" to "/bin/bash\nclean\n",
        "echo \"\$(echo \"nested \$(echo \"deep\")\")\"" to "nested deep\n",
      )
    for ((command, expected) in table) {
      val ran = run(spec(command))
      assertEquals(expected, ran.stdout, command)
      assertEquals("", ran.stderr, command)
      assertEquals(0, ran.exitCode, command)
    }
  }

  @Test
  fun variablesAreLiteral() {
    val values =
      listOf("plain", "", "two words", "it's", "\"quoted\"", "\$HOME `date` \\", "a\nb\n", "{{PWD}} <LOG_DIR>", "ünï ☃", "'; exit 9; '")
    for (value in values) {
      assertEquals(value, run(spec("printf %s \"\$VALUE\"", mapOf("VALUE" to value))).stdout)
    }
  }

  @Test
  fun credentialsAreFilesForTheProgramsUserAlone() {
    val files = mapOf("token" to "worker/0/1/x", "key.pem" to "-----BEGIN\n'it's' \$HOME `date` \\n%s\n", "empty" to "")
    val command =
      "stat -c '%a %n' \"\$KNIT_CREDENTIALS\" \"\$KNIT_CREDENTIALS\"/*; cd / && cat \"\$KNIT_CREDENTIALS\"/key.pem; " +
        "umask; env"
    val ran = run(LaunchSpec(command, mapOf("KNIT_CREDENTIALS" to "/elsewhere", "PWD" to "/elsewhere"), emptyMap(), null, files))
    val folder = directory.toRealPath().resolve(".knit-credentials")
    assertEquals(0 to "", ran.exitCode to ran.stderr)
    val modes = listOf("700 $folder", "600 $folder/empty", "600 $folder/key.pem", "600 $folder/token").joinToString("\n", postfix = "\n")
    assertTrue(ran.stdout.startsWith(modes + files.getValue("key.pem")), ran.stdout)
    val rest = ran.stdout.removePrefix(modes + files.getValue("key.pem"))
    assertFalse(rest.startsWith("0077"), "the program's own files are as ever")
    assertTrue("\nKNIT_CREDENTIALS=$folder\n" in rest, rest)
    for (content in files.values.filter { it.isNotEmpty() }) assertFalse(content in rest, "no variable has it")
    assertFalse("PRIVATE" in LaunchSpec("", emptyMap(), emptyMap(), null, mapOf("key.pem" to "PRIVATE")).toString())
  }

  @Test
  fun credentialsThatCannotBeWrittenKeepTheProgramFromBeginning() {
    Files.createFile(directory.resolve(".knit-credentials"))
    val ran = run(LaunchSpec("echo begun", emptyMap(), emptyMap(), null, mapOf("token" to "x")))
    assertEquals("", ran.stdout)
    assertTrue(ran.exitCode != 0 && ".knit-credentials" in ran.stderr, ran.stderr)
  }

  /** More than are linked at once, and with names that a shell would like to take apart. */
  @Test
  fun theMembersOfAnArchiveLieBesideTheCommand() {
    val names = listOf("it's", "two words", ".hidden", "-rf", "*", "\$HOME") + (1..1_200).map { "file-$it" }
    val unpacked = Files.createDirectories(directory.resolve(".knit-files"))
    for (name in names) Files.write(unpacked.resolve(name), name.toByteArray())
    val archive = LocalResource("hdfs://nn/a.tar.gz", 1, 2, LocalResource.Type.ARCHIVE, LocalResource.Visibility.PRIVATE, names)

    val ran =
      run(
        LaunchSpec(
          "cat -- \"it's\" 'two words' .hidden -rf '*' '\$HOME' file-1200; echo \$#",
          emptyMap(),
          mapOf(".knit-files" to archive),
        ),
      )
    assertEquals("it'stwo words.hidden-rf*\$HOMEfile-12000\n", ran.stdout, ran.stderr)
    for (name in names) assertEquals(name, String(Files.readAllBytes(directory.resolve(name))))
  }

  @Test
  fun exitCodeAndErrorsAreTheCommands() {
    val ran = run(spec("echo out; echo err >&2; exit 42"))
    assertEquals(listOf("out\n", "err\n", 42), listOf(ran.stdout, ran.stderr, ran.exitCode))
    assertEquals(127, run(spec("no-such-program-here")).exitCode)
    assertEquals(128 + 9, run(spec("kill -9 \$\$")).exitCode)
  }

  @Test
  fun theLongestThatLinuxPassesOnIsRunWhateverItHolds() {
    val long = "printf %s " + "x".repeat(MAX_ARGUMENT_BYTES - 10)
    assertEquals(MAX_ARGUMENT_BYTES - 10, run(spec(long)).stdout.length)
    val quotes = "'".repeat(MAX_ARGUMENT_BYTES - 7) + "\n"
    assertEquals(quotes, run(spec("printf %s \"\$VALUE\"", mapOf("VALUE" to quotes, "PATH" to "/nowhere"))).stdout)
    assertEquals("ok\n", run(spec("x=${"'".repeat(MAX_ARGUMENT_BYTES - 11)};echo ok")).stdout)
  }

  @Test
  fun allThatALaunchMayHoldReachesTheCommand() {
    val command = "env | wc -c; printf %s \"\$V7\" | wc -c"
    val one = "x\n'".repeat((MAX_LAUNCH_BYTES - command.length) / 8 / 3 - 2)
    val environment = (0..7).associate { "V$it" to one }
    assertNull(problemInLaunch(command, environment))
    val (all, last) =
      run(spec(command, environment))
        .stdout
        .trim()
        .lines()
        .map { it.trim().toInt() }
    assertEquals(one.length, last)
    assertTrue(all > 8 * one.length, "$all")
  }

  @Test
  fun nothingOfALaunchStaysInItsEnvironmentButWhatItIsToHave() {
    val ran = run(spec("set; env; echo \$#", mapOf("VALUE" to "hunter2")))
    assertFalse("knit" in ran.stdout.lowercase(), ran.stdout)
    assertEquals(2, Regex("hunter2").findAll(ran.stdout).count(), "once in `set`, once in `env`")
    assertTrue(ran.stdout.endsWith("\n0\n"))
  }

  @Test
  fun theUsersOwnTokensAreThereForTheProgram() {
    run(spec("true"))
    val read = Credentials.readTokenStorageFile(tokens, Configuration(false))
    assertArrayEquals(credentials.getToken(Text("hdfs")).identifier, read.getToken(Text("hdfs")).identifier)
    assertArrayEquals(credentials.getSecretKey(Text("users.own.3")), read.getSecretKey(Text("users.own.3")))
  }

  @Test
  fun aLaunchWhoseCredentialsLackItSaysSo() {
    credentials.addSecretKey(Text("x"), "knit-launch:ZWNobyBubwo=".toByteArray())
    run(spec("true"))
    tokens.writeBytes(credentials.serialized().let { it.array().copyOf(it.remaining()) })
    val ran = ProcessBuilder("bash", "launch_container.sh").directory(directory.toFile()).start()
    assertTrue(ran.waitFor(20, TimeUnit.SECONDS))
    assertEquals(127, ran.exitValue())
    val said = directory.resolve("logs/stderr").toFile().readText()
    assertTrue("is not among the credentials of this container" in said, said)
  }

  @Test
  fun aProgramThatReadsStdinFindsItsEnd() {
    assertEquals("0\n", run(spec("wc -c | tr -d ' '")).stdout)
  }

  @Test
  fun homeIsADirectoryOfTheContainersOwnUnlessTheServiceSaysAnother() {
    val yarns = mapOf("HOME" to "/home/")
    assertEquals("${directory.toRealPath()}/.home\n", run(spec("cd ~ && pwd -P && mkdir -p ~/.cache/x"), yarns).stdout)
    assertTrue(directory.resolve(".home/.cache/x").toFile().delete())
    directory.resolve(".home").toFile().deleteRecursively()
    assertEquals("/some where\n", run(spec("echo ~", mapOf("HOME" to "/some where")), yarns).stdout)
    assertFalse(directory.resolve(".home").toFile().exists())
  }

  @Test
  fun whatMayBeSecretIsInNoTextForm() {
    assertFalse("hunter2" in spec("echo hunter2", mapOf("VALUE" to "hunter2")).toString())
  }

  @Test
  fun oneFileUnderTwoNamesIsBroughtOnceAndLinked() {
    val file = LocalResource("hdfs://nn/a", 1, 2, LocalResource.Type.FILE, LocalResource.Visibility.PRIVATE)
    val spec = LaunchSpec("cat \"second 'name'\" first", emptyMap(), mapOf("first" to file, "second 'name'" to file))
    assertEquals(setOf("first"), spec.distinctResources().keys)
    directory.resolve("first").toFile().writeText("content\n")
    assertEquals("content\ncontent\n", run(spec).stdout)
  }

  @Test
  fun aServiceMayOverrideAllVariablesButKnits() {
    val variables = ApplicationVariables("application_1_0001", "history-1", "am:50100", userName = "ann")
    val own = mapOf("LANG" to "C", "KNIT_RANK" to "99", "KNIT_AM_ADDRESS" to "elsewhere:1", "MINE" to "1")
    val environment = variables.ofContainer(ContainerKey(PlaceKey("worker", 3), 2), 12, lease(7, resource = Resource(300, 2)), own)
    assertEquals(
      mapOf(
        "LANG" to "C",
        "PYTHONUNBUFFERED" to "1",
        "HADOOP_USER_NAME" to "ann",
        "MINE" to "1",
        "KNIT_APPLICATION_ID" to "application_1_0001",
        "KNIT_HISTORY_ID" to "history-1",
        "KNIT_AM_ADDRESS" to "am:50100",
        "KNIT_CONTAINER_ID" to "container_7",
        "KNIT_SERVICE_NAME" to "worker",
        "KNIT_RANK" to "3",
        "KNIT_ATTEMPT_NUMBER" to "2",
        "KNIT_ORDINAL" to "12",
        "KNIT_MEMORY_MIB" to "300",
        "KNIT_VCORES" to "2",
      ),
      environment,
    )
  }

  @Test
  fun withKerberosNobodySaysWhoTheUserIs() {
    val variables = ApplicationVariables("application_1_0001", "history-1", "am:50100", userName = null)
    assertNull(variables.ofContainer(ContainerKey(PlaceKey("worker", 0), 1), 0, lease(1), emptyMap())["HADOOP_USER_NAME"])
  }

  @Test
  fun whoMaySeeLogsIsToldWithEachContainerInHadoopsForm() {
    val spec = spec("true")
    assertNull(LaunchContexts(HeldTokens(credentials)).of(spec).applicationACLs?.ifEmpty { null })
    val acls = AccessControl(listOf("ann", "bob"), listOf("staff"), emptyList(), listOf("ops")).toYarn()
    assertEquals(mapOf(ApplicationAccessType.VIEW_APP to "ann,bob staff", ApplicationAccessType.MODIFY_APP to " ops"), acls)
    assertEquals(acls, LaunchContexts(HeldTokens(credentials), acls).of(spec).applicationACLs)
    assertEquals("*", AccessControl(viewUsers = listOf("ann", "*")).toYarn()[ApplicationAccessType.VIEW_APP])
    assertEquals(emptyMap<ApplicationAccessType, String>(), AccessControl.OWNER_ONLY.toYarn())
  }
}

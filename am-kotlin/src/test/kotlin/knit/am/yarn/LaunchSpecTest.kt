package knit.am.yarn

import knit.am.core.ContainerKey
import knit.am.core.LocalResource
import knit.am.core.Place
import knit.am.core.lease
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
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

  /** As a NodeManager does: variables in double quotes, the command pasted into `exec /bin/bash -c "…"`. */
  private fun run(spec: LaunchSpec): Ran {
    val logs = Files.createDirectories(directory.resolve("logs"))
    val command = LAUNCH_COMMAND.replace("<LOG_DIR>", logs.toString())
    val script =
      directory.resolve("launch_container.sh").toFile().apply {
        writeText("#!/bin/bash\nset -o pipefail -e\nexport $LAUNCH_VARIABLE=\"${spec.encoded()}\"\nexec /bin/bash -c \"$command\"\n")
      }
    val process = ProcessBuilder("bash", script.path).directory(directory.toFile()).start()
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
  fun aLongCommandIsRunWhateverItHolds() {
    val long = "x".repeat(60 * 1024)
    assertEquals(long.length, run(spec("printf %s $long")).stdout.length)
    assertEquals("ok\n", run(spec("x=${"'".repeat(60 * 1024)}; echo ok")).stdout)
    val quotes = "'".repeat(60 * 1024) + "\n"
    assertEquals(quotes, run(spec("printf %s \"\$VALUE\"", mapOf("VALUE" to quotes, "PATH" to "/nowhere"))).stdout)
  }

  @Test
  fun whatLinuxDoesNotPassOnIsRefused() {
    val tooLong = assertThrows(IllegalArgumentException::class.java) { spec("printf %s ${"x".repeat(100 * 1024)}").encoded() }
    assertTrue("file" in tooLong.message.orEmpty())
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
    val environment =
      containerEnvironment(
        applicationId = "application_1_0001",
        key = ContainerKey(Place("worker", 3), 2),
        lease = lease(7),
        userName = "ann",
        environment = mapOf("LANG" to "C", "KNIT_RANK" to "99", "MINE" to "1"),
      )
    assertEquals(
      mapOf(
        "LANG" to "C",
        "PYTHONUNBUFFERED" to "1",
        "HADOOP_USER_NAME" to "ann",
        "MINE" to "1",
        "KNIT_APPLICATION_ID" to "application_1_0001",
        "KNIT_CONTAINER_ID" to "container_7",
        "KNIT_SERVICE_NAME" to "worker",
        "KNIT_RANK" to "3",
        "KNIT_ATTEMPT_NUMBER" to "2",
      ),
      environment,
    )
  }
}

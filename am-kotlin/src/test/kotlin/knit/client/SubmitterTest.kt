package knit.client

import knit.am.core.Role
import knit.am.grpc.SubmissionDocument
import knit.am.security.forApplications
import knit.am.security.forContainers
import knit.am.security.secret
import knit.am.yarn.LAUNCH_COMMAND
import knit.v1.ApplicationSpec
import kotlinx.coroutines.runBlocking
import org.apache.hadoop.fs.FileSystem
import org.apache.hadoop.io.DataInputByteBuffer
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.yarn.api.records.YarnApplicationState
import org.apache.hadoop.yarn.exceptions.YarnException
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.io.PrintStream
import java.nio.file.Path
import java.util.Base64

class SubmitterTest {
  @TempDir
  lateinit var directory: Path
  private val yarn = FakeYarn()
  private val said = ByteArrayOutputStream()
  private lateinit var home: File
  private lateinit var jar: File
  private val configuration by lazy { HomeFileSystem.configuration(home.toPath()) }

  @BeforeEach
  fun setUp() {
    home = directory.resolve("home").toFile().apply { mkdir() }
    jar = directory.resolve("knit.jar").toFile().apply { writeText("the jar") }
  }

  private fun submit(vararg words: String): Submitted {
    val request = checkNotNull(Arguments.parse(words.toList()))
    val submitter = Submitter(request, configuration, yarn, jar, Progress(PrintStream(said)))
    return runBlocking { submitter.submit() }
  }

  private fun applications() = File(home, ".knit/applications").list().orEmpty().toList()

  @Test
  fun yarnIsGivenWhatTheApplicationMasterNeeds() {
    val file = directory.resolve("x.py").toFile().apply { writeText("1") }
    val environment = directory.resolve("dev.tar.gz").toFile().apply { writeText("2") }
    val submitted =
      submit(
        "-n",
        "3",
        "-m",
        "200",
        "-c",
        "2",
        "-C",
        "echo \$X",
        "--files",
        "$file#y.py",
        "-p",
        "$environment",
        "--env",
        "X=1",
        "--name",
        "n",
        "--queue",
        "root.default",
      )
    val context = yarn.submitted.single()
    assertEquals(yarn.id, context.applicationId)
    assertEquals(listOf("n", "root.default", "knit"), listOf(context.applicationName, context.queue, context.applicationType))
    assertEquals(512L to 1, context.resource.memorySize to context.resource.virtualCores)
    assertEquals(1, context.maxAppAttempts)
    val collecting = context.logAggregationContext
    assertEquals("\\.rolled$", collecting.rolledLogsIncludePattern)
    // At the end everything is collected, as without a context.
    assertEquals(
      listOf(null, null, null),
      listOf(collecting.includePattern, collecting.excludePattern, collecting.rolledLogsExcludePattern),
    )
    val container = context.amContainerSpec
    assertEquals(setOf("knit-am.jar"), container.localResources.keys)
    assertEquals(listOf(LAUNCH_COMMAND), container.commands)
    val user = UserGroupInformation.getCurrentUser().shortUserName
    assertEquals(emptyMap<String, String>(), container.environment)
    val secrets = Credentials().apply { readTokenStorageStream(DataInputByteBuffer().apply { reset(container.tokens.duplicate()) }) }
    assertEquals(submitted.keys.authority, String(secrets.secret("knit.tls.ca")))
    assertEquals(submitted.keys.server.certificate, String(secrets.secret("knit.tls.cert")))
    assertEquals(submitted.keys.server.key, String(secrets.secret("knit.tls.key")))
    val script = String(Base64.getDecoder().decode(String(secrets.secret("knit.launch")).trim().removePrefix("knit-launch:")))
    assertEquals(LaunchScript.of(512, defaults(script), user), script)
    val ofContainers = submitted.keys.clients.getValue(Role.CONTAINER)
    assertEquals(ofContainers.certificate, String(secrets.secret("knit.container.cert")))
    assertEquals(ofContainers.key, String(secrets.secret("knit.container.key")))
    assertEquals(32, secrets.secret("knit.token.key").size)
    assertEquals(8, secrets.numberOfSecretKeys())
    val spec = ApplicationSpec.parseFrom(secrets.secret("knit.application"))
    val service = spec.servicesMap.getValue("worker")
    assertEquals("echo \$X", service.command)
    assertEquals(3, service.instances)
    assertEquals(200L to 2, service.resource.memoryMib to service.resource.vcores)
    assertEquals(mapOf("X" to "1"), service.environmentMap)
    assertEquals(setOf("y.py", "PYTHON_DIR"), service.localResourcesMap.keys)
    assertEquals("PYTHON_DIR", service.pythonEnvironment)
    assertTrue(spec.stagingUrl.endsWith("/.knit/applications/${yarn.id}"), spec.stagingUrl)
    assertEquals(user, spec.userName)
    assertEquals("root.default" to "knit", spec.submission.queue to spec.submission.applicationType)
    assertEquals(1 to 512L, spec.submission.maxAttempts to spec.submission.masterResource.memoryMib)
    // And as the Application Master reads it.
    val read = SubmissionDocument.of(secrets.secret("knit.application")).submission
    val modified =
      File(home, ".knit/cache")
        .listFiles()
        .orEmpty()
        .map { it.lastModified() }
        .toSet()
    assertEquals(
      modified,
      modified +
        read.services
          .getValue("worker")
          .localResources.values
          .map { it.modifyTimeMillis },
    )
    assertEquals(3, File(home, ".knit/cache").list().orEmpty().size)
    assertEquals(listOf("${yarn.id}"), applications())
  }

  /** The class path that the script was given, so that the test does not repeat Hadoop's default. */
  private fun defaults(script: String): List<String> =
    script
      .lineSequence()
      .first { it.startsWith("application_classpath=(") }
      .substringAfter('(')
      .substringBeforeLast(')')
      .split(' ')
      .map { it.trim('"') }
      .also { assertEquals("\$HADOOP_CONF_DIR", it.first()) }

  @Test
  fun aRefusalSendsNothing() {
    val table =
      mapOf(
        listOf("--queue", "nope") to "no queue 'nope'",
        listOf("--queue", "closed") to "is stopped",
        listOf("-m", "5000") to "no node has that",
        listOf("-c", "5") to "YARN grants at most",
        listOf("--files", "home://$home/none") to "does not exist on the cluster",
      )
    for ((words, hint) in table) {
      val refused = assertThrows(RefusedException::class.java) { submit("-C", "true", *words.toTypedArray()) }
      assertTrue(hint in refused.message.orEmpty(), refused.message)
      assertFalse(File(home, ".knit").exists())
      assertEquals(0, yarn.submitted.size)
    }
  }

  @Test
  fun whatYarnRefusesLeavesNoKeysBehind() {
    yarn.refusal = YarnException("Failed to submit: the queue is full")
    yarn.reports = listOf(FakeYarn.report(YarnApplicationState.FAILED))
    val refused = assertThrows(RefusedException::class.java) { submit("-C", "true") }
    assertTrue("the queue is full" in refused.message.orEmpty())
    assertEquals(emptyList<String>(), applications())
    assertEquals(0, yarn.killed.size)
  }

  @Test
  fun whatYarnMayHaveTakenIsKilled() {
    yarn.reports = listOf(FakeYarn.report(YarnApplicationState.ACCEPTED))
    for (lost in listOf(IOException("Connection reset by peer"), YarnException("Timed out while waiting for application"))) {
      yarn.killed.clear()
      yarn.refusal = lost
      assertThrows(RefusedException::class.java) { submit("-C", "true") }
      assertEquals(listOf(yarn.id), yarn.killed)
      assertEquals(emptyList<String>(), applications())
    }
  }

  @Test
  fun theKeysStayWhileYarnMayHaveTheApplication() {
    yarn.reports = listOf(null)
    yarn.refusal = IOException("Connection reset by peer")
    yarn.killFailure = IOException("no answer")
    val refused = assertThrows(RefusedException::class.java) { submit("-C", "true") }
    assertTrue("yarn application -kill ${yarn.id}" in refused.message.orEmpty(), refused.message)
    assertEquals(listOf("${yarn.id}"), applications())
  }

  @Test
  fun theIdIsSaidAndTheKeysStayBeforeYarnIsAsked() {
    // So that the file system of the submission can be had.
    configuration.setBoolean("fs.home.impl.disable.cache", false)
    yarn.meanwhile = {
      assertTrue("submitting ${yarn.id}" in said.toString(), "who interrupts it now knows what to look for")
      // As Hadoop's own hook does when the process ends.
      FileSystem.get(configuration).close()
      assertEquals(listOf("${yarn.id}"), applications())
    }
    submit("-C", "true")
    assertEquals(1, yarn.submitted.size)
  }

  @Test
  fun theRecordSaysWhoseTheApplicationIs() {
    submit("-C", "true")
    val record = File(home, ".knit/applications/${yarn.id}/application.json").readText()
    assertEquals(FakeYarn.IDENTITY, ApplicationRecord.resourceManager(record))
  }

  @Test
  fun aSecureClustersTokensAreCompletedWithTheResourceManagers() {
    val tokens = Credentials().apply { complete("rm/_HOST@REALM", emptySet(), yarn) }
    assertEquals("for rm/_HOST@REALM", String(tokens.getToken(Text("rm:8032")).identifier))
    // A process that was given one cannot have another.
    tokens.complete("somebody", emptySet(), yarn)
    assertEquals("for rm/_HOST@REALM", String(tokens.allTokens.single().identifier))
    assertEquals(1, tokens.forApplications().numberOfTokens())
    assertEquals(0, tokens.forContainers().numberOfTokens(), "it could act as the user towards YARN")
  }

  @Test
  fun thePortsOfTheApplicationMasterTravelInTheSpecification() {
    submit("-C", "true", "--masterPorts", "50100-50200")
    val tokens =
      yarn.submitted
        .single()
        .amContainerSpec.tokens
    val secrets = Credentials().apply { readTokenStorageStream(DataInputByteBuffer().apply { reset(tokens.duplicate()) }) }
    val ports = ApplicationSpec.parseFrom(secrets.secret("knit.application")).masterPorts
    assertEquals(50_100 to 50_200, ports.first to ports.last)
  }

  @Test
  fun aHomeThatIsNotThereIsMade() {
    home.delete()
    submit("-C", "true")
    assertEquals(listOf("${yarn.id}"), applications())
    home.deleteRecursively()
    home.writeText("a file")
    val refused = assertThrows(RefusedException::class.java) { submit("-C", "true") }
    assertTrue("is not a directory" in refused.message.orEmpty())
  }
}

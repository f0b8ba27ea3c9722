package knit.client

import com.google.protobuf.Duration
import com.google.protobuf.Timestamp
import knit.am.Submission.Companion.DEFAULT_LINGER
import knit.am.core.LocalResource
import knit.am.core.Resource
import knit.am.core.Role
import knit.am.security.RM_TOKEN_KIND
import knit.am.security.Secrets
import knit.am.security.fetchedKinds
import knit.am.security.forApplications
import knit.am.security.serialized
import knit.am.yarn.LAUNCH_COMMAND
import knit.am.yarn.launchSecret
import knit.am.yarn.toYarn
import knit.v1.ApplicationSpec
import knit.v1.FailurePolicy
import knit.v1.LocalResourceType
import knit.v1.LocalResourceVisibility
import knit.v1.PortRange
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.FileSystem
import org.apache.hadoop.fs.Path
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.yarn.api.records.ApplicationId
import org.apache.hadoop.yarn.api.records.ApplicationSubmissionContext
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext
import org.apache.hadoop.yarn.api.records.LogAggregationContext
import org.apache.hadoop.yarn.client.util.YarnClientUtils
import org.apache.hadoop.yarn.util.Records
import knit.v1.LocalResource as LocalResourceMessage
import knit.v1.Resource as ResourceMessage
import knit.v1.ServiceSpec as ServiceSpecMessage
import knit.v1.Submission as SubmissionMessage

private const val APPLICATION_TYPE = "knit"
private const val MAX_ATTEMPTS = 1

/** One service may take 1 MiB. A ResourceManager that keeps its state in ZooKeeper takes less, and says so. */
private const val LARGEST_SPEC_BYTES = 2 * 1024 * 1024
private const val CLASSPATH_PROPERTY = "yarn.application.classpath"

/** `false` has nodes keep no archive of classes beside the jar, with which an Application Master starts in half the time. */
private const val CLASS_ARCHIVE_PROPERTY = "knit.am.class-archive"

/** The request as the Application Master reads it; [resources] has each of its files as it lies on the cluster. */
internal fun Request.toSpec(
  resources: Map<FileSource, LocalResource>,
  stagingUrl: String,
  userName: String,
): ApplicationSpec {
  val service =
    ServiceSpecMessage
      .newBuilder()
      .setCommand(command)
      .setInstances(instances)
      .setResource(resource.toMessage())
      .putAllEnvironment(environment)
      .putAllLocalResources(everyFile.associate { it.name to resources.getValue(it).toMessage() })
      // As in knit 0.1.1: every container runs to its end, and one that failed makes the application FAILED.
      .setFailurePolicy(FailurePolicy.FAILURE_POLICY_FINISH_OTHERS)
      .setPythonEnvironment(pythonEnvironment?.name.orEmpty())
  val spec =
    ApplicationSpec
      .newBuilder()
      .setName(name)
      .putServices(Request.SERVICE, service.build())
      .setLinger(Duration.newBuilder().setSeconds(DEFAULT_LINGER.seconds))
      .setStagingUrl(stagingUrl)
      .setUserName(userName)
      .setSubmission(
        SubmissionMessage
          .newBuilder()
          .setQueue(queue)
          .setApplicationType(APPLICATION_TYPE)
          .setMaxAttempts(MAX_ATTEMPTS)
          .setMasterResource(Request.APPLICATION_MASTER.toMessage()),
      ).apply { this@toSpec.masterPorts?.let { setMasterPorts(PortRange.newBuilder().setFirst(it.first).setLast(it.last)) } }
      .build()
  if (spec.serializedSize > LARGEST_SPEC_BYTES) {
    throw RefusedException(
      "The specification is ${spec.serializedSize} bytes long, more than the $LARGEST_SPEC_BYTES that a submission carries: " +
        "put what is long into files.",
    )
  }
  return spec
}

private fun Resource.toMessage() = ResourceMessage.newBuilder().setMemoryMib(memoryMib).setVcores(vcores)

private fun LocalResource.toMessage(): LocalResourceMessage =
  LocalResourceMessage
    .newBuilder()
    .setUrl(url)
    .setSizeBytes(sizeBytes)
    .setModifyTime(
      Timestamp
        .newBuilder()
        .setSeconds(Math.floorDiv(modifyTimeMillis, MILLIS_PER_SECOND))
        .setNanos((Math.floorMod(modifyTimeMillis, MILLIS_PER_SECOND) * NANOS_PER_MILLI).toInt()),
    ).setType(
      when (type) {
        LocalResource.Type.FILE -> LocalResourceType.LOCAL_RESOURCE_TYPE_FILE
        LocalResource.Type.ARCHIVE -> LocalResourceType.LOCAL_RESOURCE_TYPE_ARCHIVE
      },
    ).setVisibility(LocalResourceVisibility.LOCAL_RESOURCE_VISIBILITY_PRIVATE)
    .build()

/**
 * Log files that nodes collect, and remove, while their program runs, where they are set to it; by their names' end.
 *
 * With such a pattern they collect those of containers that have ended, too, before the application's end.
 */
internal const val ROLLED_LOGS = "\\.rolled$"

private const val MILLIS_PER_SECOND = 1000L
private const val NANOS_PER_MILLI = 1_000_000L

/**
 * What YARN is asked to start.
 *
 * @param secrets for the Application Master's eyes only, with the user's tokens among them
 * @param cancelsTokens whether these end with the application; false where somebody else holds them too
 */
internal fun submissionContext(
  request: Request,
  id: ApplicationId,
  jar: LocalResource,
  script: String,
  secrets: Credentials,
  cancelsTokens: Boolean = true,
): ApplicationSubmissionContext =
  Records.newRecord(ApplicationSubmissionContext::class.java).apply {
    applicationId = id
    applicationName = request.name
    applicationType = APPLICATION_TYPE
    queue = request.queue
    maxAppAttempts = MAX_ATTEMPTS
    keepContainersAcrossApplicationAttempts = false
    resource = Request.APPLICATION_MASTER.toYarn()
    cancelTokensWhenComplete = cancelsTokens
    logAggregationContext = LogAggregationContext.newInstance(null, null, ROLLED_LOGS, null)
    amContainerSpec =
      ContainerLaunchContext.newInstance(
        mapOf(LaunchScript.JAR_NAME to jar.toYarn()),
        emptyMap(),
        listOf(LAUNCH_COMMAND),
        null,
        Credentials(secrets).apply { addSecretKey(Text(Secrets.LAUNCH), launchSecret(script)) }.serialized(),
        null,
      )
  }

/** The script that becomes the Application Master, for this configuration. */
internal fun launchScript(
  configuration: Configuration,
  userName: String?,
): String {
  val classPath = configuration.getTrimmedStrings(CLASSPATH_PROPERTY).filter { it.isNotEmpty() }.ifEmpty { defaultClassPath }
  val classArchive = configuration.getBoolean(CLASS_ARCHIVE_PROPERTY, true)
  return LaunchScript.of(Request.APPLICATION_MASTER.memoryMib, classPath, userName, classArchive)
}

/** Of Hadoop 3, whichever this is: the script looks elsewhere too. */
private val defaultClassPath =
  listOf("\$HADOOP_CONF_DIR") +
    listOf("COMMON", "HDFS", "YARN").flatMap { part ->
      listOf("*", "lib/*").map { "\$HADOOP_${part}_HOME/share/hadoop/${part.lowercase()}/$it" }
    }

/** What travels in the submission's credentials: the specification, the Application Master's keys, and the user's tokens. */
internal fun secretsOf(
  spec: ApplicationSpec,
  keys: Keys,
  tokens: Credentials,
): Credentials =
  Credentials(tokens).apply {
    addSecretKey(Text(Secrets.APPLICATION), spec.toByteArray())
    addSecretKey(Text(Secrets.TLS_AUTHORITY), keys.authority.toByteArray())
    addSecretKey(Text(Secrets.TLS_CERTIFICATE), keys.server.certificate.toByteArray())
    addSecretKey(Text(Secrets.TLS_KEY), keys.server.key.toByteArray())
    val container = keys.clients.getValue(Role.CONTAINER)
    addSecretKey(Text(Secrets.CONTAINER_CERTIFICATE), container.certificate.toByteArray())
    addSecretKey(Text(Secrets.CONTAINER_KEY), container.key.toByteArray())
    addSecretKey(Text(Secrets.TOKEN_KEY), keys.tokenKey)
  }

/**
 * The user's tokens for the cluster's file systems and for the ResourceManager, who renews them; none with simple
 * authentication.
 *
 * Those this process was given itself are handed on, so that an application can submit another one.
 */
internal fun tokens(
  configuration: Configuration,
  fileSystems: Set<FileSystem>,
  yarn: Yarn,
): Credentials {
  if (!UserGroupInformation.isSecurityEnabled()) return Credentials()
  val found = UserGroupInformation.getCurrentUser().credentials.forApplications()
  val renewer = YarnClientUtils.getRmPrincipal(configuration)
  if (renewer.isNullOrEmpty()) {
    throw RefusedException("The configuration names no yarn.resourcemanager.principal, who would renew this application's tokens: set it.")
  }
  return found.apply { complete(renewer, fileSystems, yarn) }
}

/** Whether the tokens are those of a container, which may submit once more, and goes on with them itself. */
internal fun isInContainerWithTokens(): Boolean =
  UserGroupInformation.isSecurityEnabled() &&
    UserGroupInformation
      .getCurrentUser()
      .credentials.allTokens
      .any { it.kind in fetchedKinds }

/** Adds the tokens that are not there yet: of who has one of a kind already, a second one is not to be had. */
internal fun Credentials.complete(
  renewer: String,
  fileSystems: Set<FileSystem>,
  yarn: Yarn,
) {
  fileSystems.forEach { it.addDelegationTokens(renewer, this) }
  // The Application Master asks for the cluster's nodes, as only clients may.
  if (allTokens.none { it.kind == RM_TOKEN_KIND }) yarn.delegationToken(renewer).let { addToken(it.service, it) }
}

/** The file systems that hold something of the request. */
internal fun Request.fileSystems(
  own: FileSystem,
  configuration: Configuration,
): Set<FileSystem> = everyFile.filter { it.localFile == null }.mapTo(mutableSetOf(own)) { Path(it.url).getFileSystem(configuration) }

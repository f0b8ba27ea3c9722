package knit.am

import knit.am.core.Lease
import knit.am.core.Resource
import knit.am.core.ServiceSpec
import knit.am.core.kv.Bytes
import knit.am.grpc.SubmissionDocument
import knit.am.security.ClientGrant
import knit.am.security.ContainerKeys
import knit.am.security.Tls
import org.apache.hadoop.yarn.api.records.ContainerId
import java.nio.file.Path
import java.nio.file.Paths
import java.time.Duration
import java.util.UUID

/** What the client submitted, in our own types. */
data class Submission(
  val name: String,
  val services: Map<String, ServiceSpec>,
  /** How long to stay for clients after the end, since the last one was heard. */
  val linger: Duration,
  /** The directory to remove when leaving; null where there is none. */
  val stagingUrl: String?,
  /** The user whose name containers give to a cluster with simple authentication; null with Kerberos. */
  val userName: String?,
  /** The ports it may listen on, the first that is free; null for any that the operating system gives. */
  val masterPorts: IntRange? = null,
  /** Further clients, by their certificates. */
  val clientGrants: List<ClientGrant> = emptyList(),
  /** Why it cannot be run as it was written, in a sentence for people; null if nothing is wrong but perhaps the services. */
  val problem: String? = null,
  /** The program beside the Application Master whose end is the application's; null: the services' is. */
  val driver: DriverSpec? = null,
  val attemptPolicy: AttemptPolicy = AttemptPolicy.CRASHES,
  /** The partition (node label) containers are in unless their service says; null: the queue's default. */
  val nodeLabel: String? = null,
  val accessControl: AccessControl = AccessControl.OWNER_ONLY,
  val logLevel: LogLevel = LogLevel.INFO,
  /** What the application is annotated with at first. */
  val annotations: Map<String, Bytes> = emptyMap(),
  /** Further file systems of which it holds tokens. */
  val fileSystems: List<NamedFileSystem> = emptyList(),
  /** Whose keytab came with the submission, `alice@EXAMPLE.COM`; null where none did. */
  val principal: String? = null,
) {
  companion object {
    val DEFAULT_LINGER: Duration = Duration.ofSeconds(10)
  }
}

/** Every setting of this Application Master, read once at its start. */
internal class AmConfig(
  /** YARN's identifier, `application_…`. */
  val applicationId: String,
  /** Which start of the Application Master this is, from 1. */
  val attemptNumber: Int,
  /** The host where clients reach it, by the name the NodeManager goes by. */
  val host: String,
  val document: SubmissionDocument,
  val tls: Tls,
  val containerKeys: ContainerKeys,
  /** Where this process's files of its own go among those that YARN keeps as its logs; null where it names no place. */
  val logDirectory: Path?,
  /** YARN's lease of this process's own container: which it is, and where its logs are. */
  val lease: Lease,
  /** How many attempts YARN makes at most. */
  val maxAttempts: Int = 1,
  /** Names what this attempt remembers, which no other one does. */
  val historyId: String = UUID.randomUUID().toString(),
  /** Everywhere that YARN keeps log files of this process: one on each disk. */
  val logDirectories: List<Path> = listOfNotNull(logDirectory),
) {
  val submission: Submission
    get() = document.submission

  companion object {
    /** Reads what YARN says in the environment. */
    fun of(
      environment: Map<String, String>,
      document: SubmissionDocument,
      tls: Tls,
      containerKeys: ContainerKeys,
    ): AmConfig {
      val containerId = environment.required("CONTAINER_ID")
      val attempt = ContainerId.fromString(containerId).applicationAttemptId
      val logDirectories =
        environment["LOG_DIRS"]
          .orEmpty()
          .split(',')
          .filter { it.isNotEmpty() }
          .map { Paths.get(it) }
      return AmConfig(
        applicationId = attempt.applicationId.toString(),
        attemptNumber = attempt.attemptId,
        host = environment.required("NM_HOST"),
        document = document,
        tls = tls,
        containerKeys = containerKeys,
        logDirectory = logDirectories.firstOrNull(),
        lease = leaseOf(containerId, environment),
        maxAttempts = environment["MAX_APP_ATTEMPTS"]?.toIntOrNull() ?: 1,
        logDirectories = logDirectories,
      )
    }

    /** Its size is not told, and nobody asks. */
    private fun leaseOf(
      containerId: String,
      environment: Map<String, String>,
    ): Lease {
      val host = environment.required("NM_HOST")
      return Lease(
        containerId,
        "$host:${environment["NM_PORT"].orEmpty()}",
        "$host:${environment["NM_HTTP_PORT"].orEmpty()}",
        Resource(0, 0),
      )
    }

    private fun Map<String, String>.required(name: String): String =
      checkNotNull(get(name)) { "The environment lacks $name: the Application Master is started by YARN, not by hand." }
  }
}

package knit.am

import knit.am.core.ServiceSpec
import knit.am.log.LogLevel
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
  /** What it writes to its own log. */
  val logLevel: LogLevel = LogLevel.INFO,
) {
  companion object {
    val DEFAULT_LINGER: Duration = Duration.ofSeconds(10)
  }
}

/** Every setting of this Application Master, read once at its start. */
class AmConfig(
  /** YARN's identifier, `application_…`. */
  val applicationId: String,
  /** Which start of the Application Master this is, from 1. */
  val attemptNumber: Int,
  /** The host where clients reach it, by the name the NodeManager goes by. */
  val host: String,
  val submission: Submission,
  val tls: Tls,
  val containerKeys: ContainerKeys,
  /** Where YARN keeps this process's log files; null where it names no place. */
  val logDirectory: Path?,
  /** Names what this attempt remembers, which no other one does. */
  val historyId: String = UUID.randomUUID().toString(),
) {
  companion object {
    /** Reads what YARN says in the environment. */
    fun of(
      environment: Map<String, String>,
      submission: Submission,
      tls: Tls,
      containerKeys: ContainerKeys,
    ): AmConfig {
      val containerId = environment.required("CONTAINER_ID")
      val attempt = ContainerId.fromString(containerId).applicationAttemptId
      return AmConfig(
        applicationId = attempt.applicationId.toString(),
        attemptNumber = attempt.attemptId,
        host = environment.required("NM_HOST"),
        submission = submission,
        tls = tls,
        containerKeys = containerKeys,
        logDirectory = environment["LOG_DIRS"]?.substringBefore(',')?.let { Paths.get(it) },
      )
    }

    private fun Map<String, String>.required(name: String): String =
      checkNotNull(get(name)) { "The environment lacks $name: the Application Master is started by YARN, not by hand." }
  }
}

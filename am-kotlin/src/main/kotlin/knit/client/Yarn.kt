package knit.client

import knit.am.core.Resource
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.apache.hadoop.yarn.api.records.ApplicationId
import org.apache.hadoop.yarn.api.records.ApplicationSubmissionContext
import org.apache.hadoop.yarn.api.records.FinalApplicationStatus
import org.apache.hadoop.yarn.api.records.YarnApplicationState

/** The few calls of the ResourceManager that a client makes; each blocks, for a bounded time, and throws what Hadoop throws. */
internal interface Yarn : AutoCloseable {
  /** Where it is, for messages. */
  val address: String

  /** Which cluster it is, the same for every client whose configuration names the same ResourceManagers. */
  val identity: String

  /** Returns an ID for one application. Nothing comes of one that is not used. */
  fun newApplication(): NewApplication

  /** The scheduler's queues, or null where it makes them as they are asked for. */
  fun queues(): List<Queue>?

  /** The nodes that run. */
  fun nodes(): List<Node>

  /** Returns once the scheduler has accepted it. */
  fun submit(context: ApplicationSubmissionContext)

  fun report(id: ApplicationId): Report

  /** Returns once it has ended, however it did. */
  fun kill(id: ApplicationId)

  /** A token by which an Application Master may ask what only clients are told, such as the nodes; [renewer] keeps it alive. */
  fun delegationToken(renewer: String): Token<out TokenIdentifier>

  class NewApplication(
    val id: ApplicationId,
    /** The most that YARN grants to one container. */
    val maximum: Resource,
  )

  data class Queue(
    /** `root.a.b`. */
    val path: String,
    /** Whether applications can be in it, and not only queues. */
    val isLeaf: Boolean,
    val isRunning: Boolean,
  )

  data class Node(
    val id: String,
    val size: Resource,
  )

  data class Report(
    val state: YarnApplicationState,
    val finalStatus: FinalApplicationStatus,
    val diagnostics: String,
    /** Where the Application Master listens; null before it does. */
    val address: Pair<String, Int>?,
    /** When it ended, in milliseconds since 1970; 0 before. */
    val finishTimeMillis: Long,
  ) {
    val isFinal: Boolean
      get() = state in finalStates

    /** How it ended, in YARN's word: its final status, or the state if it never gave one. */
    val ending: String
      get() = if (state == YarnApplicationState.FINISHED) finalStatus.name else state.name
  }

  private companion object {
    val finalStates = setOf(YarnApplicationState.FINISHED, YarnApplicationState.FAILED, YarnApplicationState.KILLED)
  }
}

package knit.am.yarn

import knit.am.core.Lease

/** The few calls we make to NodeManagers, one attempt each. Any number of callers at a time; [NodeCalls] bounds them. */
internal interface NodeManager {
  /**
   * Starts a container's process; returns once its node has accepted it.
   *
   * @throws UnlaunchableException where no node could, whichever it is.
   * @throws NodeNotAskedException where YARN has taken the lease back.
   * @throws java.io.IOException where the node does not answer, anything else where it refuses.
   */
  suspend fun launch(
    lease: Lease,
    spec: LaunchSpec,
  )

  /** Ends a container's process. Throws where its node does not answer, or knows no such container. */
  suspend fun stop(lease: Lease)
}

/** What is to be launched cannot be put into YARN's words. The message says what to change. */
internal class UnlaunchableException(
  cause: Exception,
) : Exception(cause.message ?: cause.toString(), cause)

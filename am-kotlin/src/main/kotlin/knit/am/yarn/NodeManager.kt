package knit.am.yarn

import knit.am.core.Lease

/** The few calls we make to NodeManagers. Any number of callers at a time. */
internal interface NodeManager {
  /** Starts a container's process; returns once its node has accepted it. Throws where the node refuses or does not answer in time. */
  suspend fun launch(
    lease: Lease,
    spec: LaunchSpec,
  )

  /** Ends a container's process. Throws where its node does not answer in time, or knows no such container. */
  suspend fun stop(lease: Lease)
}

package knit.am.log

import knit.am.core.Container
import knit.am.core.ContainerKey
import knit.am.core.ContainerState
import knit.am.core.DriverState
import knit.am.core.Header
import knit.am.core.Lease
import knit.am.core.Phase
import knit.am.core.PlaceKey
import knit.am.core.Resource
import knit.am.core.Variant
import java.time.Instant

/** The Application Master's own container as one whose logs can be read: its own files, and the driver's. [OwnLogs] reads them. */
internal class MasterLog(
  private val lease: Lease,
) {
  val containerId: String get() = lease.containerId

  /** @param fileNames those that are wanted: the driver's end with it, all others with the application */
  fun container(
    header: Header,
    fileNames: List<String>,
  ): Container {
    val isDrivers = fileNames.isNotEmpty() && fileNames.all { it.startsWith(DRIVER_PREFIX) }
    val hasEnded = header.phase == Phase.ENDED || (isDrivers && header.driver == DriverState.ENDED)
    return Container(
      key = ContainerKey(PlaceKey("", 0), header.attemptNumber),
      state = if (hasEnded) ContainerState.SUCCEEDED else ContainerState.RUNNING,
      ordinal = 0,
      revision = 1,
      variant = NO_VARIANT,
      requestTime = Instant.EPOCH,
      lease = lease,
      startTime = Instant.EPOCH,
    )
  }

  private companion object {
    const val DRIVER_PREFIX = "driver."
    val NO_VARIANT = Variant(0, Resource(0, 0), emptyMap())
  }
}

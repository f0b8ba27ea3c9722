package knit.am.yarn

import org.apache.hadoop.yarn.api.records.ContainerLaunchContext
import java.nio.ByteBuffer

/**
 * Makes what a NodeManager is given to start a container.
 *
 * @param tokens serialized credentials for every container
 */
internal class LaunchContexts(
  private val tokens: ByteBuffer,
) {
  fun of(spec: LaunchSpec): ContainerLaunchContext =
    ContainerLaunchContext.newInstance(
      spec.distinctResources().mapValues { it.value.toYarn() },
      mapOf(LAUNCH_VARIABLE to spec.encoded()),
      listOf(LAUNCH_COMMAND),
      null,
      // YARN reads the buffer to its end.
      tokens.duplicate(),
      null,
    )
}

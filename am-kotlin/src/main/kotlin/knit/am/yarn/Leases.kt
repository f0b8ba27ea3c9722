package knit.am.yarn

import java.util.concurrent.ConcurrentHashMap
import org.apache.hadoop.yarn.api.records.Container as YarnContainer

/** YARN's records of the containers we hold: whoever starts one has to show the token in it. Safe for any thread. */
internal class Leases {
  private val containers = ConcurrentHashMap<String, YarnContainer>()

  fun add(container: YarnContainer) {
    containers[container.id.toString()] = container
  }

  fun remove(containerId: String) {
    containers.remove(containerId)
  }

  operator fun get(containerId: String): YarnContainer? = containers[containerId]
}

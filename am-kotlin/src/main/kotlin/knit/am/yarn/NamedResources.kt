package knit.am.yarn

import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterResponse
import org.apache.hadoop.yarn.util.resource.ResourceUtils

/**
 * Has this process know the named resources that the RM knows: until then those that the node's `resource-types.xml` does
 * not define are left out of whatever YARN says. Returns whether there was anything to learn.
 *
 * Hadoop before 2.10 and 3.0 have none of this, and neither has the cluster then.
 */
internal fun learnNamedResources(response: RegisterApplicationMasterResponse): Boolean =
  try {
    val told = response.resourceTypes.orEmpty()
    val hasNew = told.any { it.name !in ResourceUtils.getResourceTypes() }
    if (hasNew) ResourceUtils.reinitializeResources(told)
    hasNew
  } catch (
    @Suppress("SwallowedException") old: LinkageError,
  ) {
    false
  }

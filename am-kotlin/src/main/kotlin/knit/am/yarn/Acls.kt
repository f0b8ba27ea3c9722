package knit.am.yarn

import knit.am.AccessControl
import org.apache.hadoop.yarn.api.records.ApplicationAccessType

private const val EVERYBODY = "*"

/** What YARN is told in each launch context of who may see a container's logs; nothing where only its owner may. */
internal fun AccessControl.toYarn(): Map<ApplicationAccessType, String> =
  mapOf(
    ApplicationAccessType.VIEW_APP to aclOf(viewUsers, viewGroups),
    ApplicationAccessType.MODIFY_APP to aclOf(modifyUsers, modifyGroups),
  ).filterValues { it.isNotBlank() }

/** Hadoop's form: users, a blank, groups, each with commas between. */
private fun aclOf(
  users: List<String>,
  groups: List<String>,
): String = if (EVERYBODY in users || EVERYBODY in groups) EVERYBODY else users.joinToString(",") + " " + groups.joinToString(",")

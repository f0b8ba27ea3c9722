package knit.am.yarn

import knit.am.security.Secrets
import knit.am.security.serialized
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.yarn.api.records.ApplicationAccessType
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext

/**
 * Makes what a NodeManager is given to start a container.
 *
 * @param credentials for every container: the user's tokens, and nothing of the Application Master's own
 * @param acls who may see its logs beside the user
 */
internal class LaunchContexts(
  private val credentials: Credentials,
  private val acls: Map<ApplicationAccessType, String> = emptyMap(),
) {
  fun of(spec: LaunchSpec): ContainerLaunchContext =
    ContainerLaunchContext.newInstance(
      spec.distinctResources().mapValues { it.value.toYarn() },
      emptyMap(),
      listOf(LAUNCH_COMMAND),
      null,
      Credentials(credentials).apply { addSecretKey(Text(Secrets.LAUNCH), launchSecret(spec.script())) }.serialized(),
      acls.ifEmpty { null },
    )
}

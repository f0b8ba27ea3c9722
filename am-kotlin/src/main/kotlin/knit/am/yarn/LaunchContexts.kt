package knit.am.yarn

import knit.am.security.HeldTokens
import knit.am.security.Secrets
import knit.am.security.serialized
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.yarn.api.records.ApplicationAccessType
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext

/**
 * Makes what a NodeManager is given to start a container.
 *
 * @param tokens of which each container is given those that are held when it is launched
 * @param acls who may see its logs beside the user
 */
internal class LaunchContexts(
  private val tokens: HeldTokens,
  private val acls: Map<ApplicationAccessType, String> = emptyMap(),
) {
  fun of(spec: LaunchSpec): ContainerLaunchContext {
    val credentials = tokens.forPrograms(spec.withRmToken)
    return ContainerLaunchContext.newInstance(
      spec.distinctResources().mapValues { it.value.toYarn() },
      emptyMap(),
      listOf(LAUNCH_COMMAND),
      null,
      Credentials(credentials).apply { addSecretKey(Text(Secrets.LAUNCH), launchSecret(spec.script())) }.serialized(),
      acls.ifEmpty { null },
    )
  }
}

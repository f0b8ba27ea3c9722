package knit.am.yarn

import knit.am.core.ContainerKey
import knit.am.core.Lease
import knit.am.core.LocalResource
import java.util.Base64

/** What a container runs: a command as typed for `bash -c`, its variables, its files, and which of these is its Python environment. */
internal data class LaunchSpec(
  val command: String,
  val environment: Map<String, String>,
  private val described: Map<String, LocalResource>,
  val pythonEnvironment: String? = null,
  /** What the program reaches the Application Master with, by the name of the file; none where it is not to. */
  val credentials: Map<String, String> = emptyMap(),
  /** Whether it is given the RM's delegation token among its tokens. */
  val withRmToken: Boolean = false,
) {
  /** As YARN is asked for them: it leaves an environment in a tar archive packed. */
  val localResources: Map<String, LocalResource> =
    described.mapValues { (name, resource) -> if (name == pythonEnvironment) resource.asUnpackedByContainers() else resource }

  /** Without [command], the values of [environment] and the contents of [credentials], which may be secret. */
  override fun toString(): String = "LaunchSpec(environment=${environment.keys}, localResources=${localResources.keys})"
}

/**
 * What YARN is told to run in every container, whatever the user's command.
 *
 * It finds a script among the container's credentials and evaluates that in the shell that is there. Nothing of a script
 * may be seen by others: the values of variables are in it, and neither an argument list nor `launch_container.sh`, which
 * nodes copy into the log directory, is for the user's eyes only. A node's token file is.
 *
 * YARN pastes a command into `exec /bin/bash -c "…"`, where `$`, backquotes, backslashes and `"` mean something on the
 * way, and it rewrites `{{X}}` and `<LOG_DIR>`. So only this line, escaped for that, is pasted. stdin is empty: the node's
 * end of it is a pipe that nobody writes to, and a program that reads it would never end.
 */
internal const val LAUNCH_COMMAND =
  "exec 1><LOG_DIR>/stdout 2><LOG_DIR>/stderr </dev/null; " +
    "knit_launch=\\$(LC_ALL=C sed -n 's/^knit-launch://p' \\\"\\\$HADOOP_TOKEN_FILE_LOCATION\\\" | base64 -d) && " +
    "eval \\\"\\\${knit_launch:?is not among the credentials of this container}\\\""

/** A script as [LAUNCH_COMMAND] finds it among binary credentials: in base64, on a line of its own that begins with a mark. */
internal fun launchSecret(script: String): ByteArray {
  val encoded = Base64.getEncoder().encode(script.toByteArray())
  return "\nknit-launch:".toByteArray() + encoded + '\n'.code.toByte()
}

/**
 * A script that gives the container a home, activates the Python environment, sets the variables and then becomes the
 * command, with nothing in either expanded.
 *
 * The command waits in `$1`, which no variable of the service can replace. Variables come last: the programs that are run
 * before are found by the node's `PATH`.
 */
internal fun LaunchSpec.script(): String =
  "unset knit_launch\n" +
    links().joinToString("") { (name, other) -> "ln -s -- ${quoted(other)} ${quoted(name)}\n" } +
    localResources.filterValues { it.memberNames.isNotEmpty() }.keys.joinToString("", transform = ::linksInto) +
    (if (HOME in environment) "" else OWN_HOME) +
    credentialFiles() +
    "set -- ${quoted(command)}\n" +
    pythonEnvironment?.let(::activationOf).orEmpty() +
    environment.entries
      .filter {
        it.key != CREDENTIALS || credentials.isEmpty()
      }.joinToString("") { (name, value) -> "export $name=${quoted(value)}\n" } +
    "exec /bin/bash -c \"\$1\"\n"

private const val HOME = "HOME"

/** YARN's own is `/home/` by default, where nobody may write. */
private const val OWN_HOME = "mkdir -p .home && export HOME=\"\$PWD/.home\"\n"

/** Where a program finds its credentials. */
private const val CREDENTIALS = "KNIT_CREDENTIALS"
private const val CREDENTIALS_FOLDER = ".knit-credentials"

/**
 * Shell that writes the credentials into files that only the container's user may read, and says where they are.
 *
 * `printf` is the shell's own: what it prints is in no list of processes.
 */
private fun LaunchSpec.credentialFiles(): String {
  if (credentials.isEmpty()) return ""
  val files = credentials.entries.joinToString("") { (name, content) -> " && printf %s ${quoted(content)} > ${quoted(name)}" }
  return "(umask 077 && mkdir $CREDENTIALS_FOLDER && cd $CREDENTIALS_FOLDER$files) || exit\n" +
    "export $CREDENTIALS=\"\$PWD/$CREDENTIALS_FOLDER\"\n"
}

/**
 * Shell that links what an unpacked archive holds at its top into the working directory.
 *
 * 500 at a time, for a program is given 2 MiB of arguments at most and a name has up to 255 bytes. In a subshell, whose
 * settings and arguments are not the command's.
 */
private fun linksInto(archive: String): String =
  "(shopt -s dotglob nullglob; set -- ./${quoted(archive)}/*; while [ \$# -gt 0 ]; do ln -s -- \"\${@:1:500}\" . || exit; " +
    "shift \$((\$# < 500 ? \$# : 500)); done) || exit\n"

/** The files YARN is told of: of those that are one file under several names it would bring only one. */
internal fun LaunchSpec.distinctResources(): Map<String, LocalResource> = localResources - links().map { it.first }.toSet()

/** Names that stand for the same file as another one, with that one. */
private fun LaunchSpec.links(): List<Pair<String, String>> =
  localResources.entries
    .groupBy({ it.value.url to it.value.type }, { it.key })
    .values
    .flatMap { names -> names.drop(1).map { it to names.first() } }

/** [text] as one word of the shell. */
internal fun quoted(text: String): String = "'" + text.replace("'", "'\\''") + "'"

/** Variables every container is given where its service sets no others. */
private val defaultEnvironment = mapOf("LANG" to "C.UTF-8", "PYTHONUNBUFFERED" to "1")

/** What each program of an application is told of it; docs/containers.md has the table. */
internal data class ApplicationVariables(
  val applicationId: String,
  val historyId: String,
  /** `host:port` where the Application Master serves. */
  val masterAddress: String,
  /** Null with Kerberos. */
  val userName: String?,
) {
  /** Those of a container: knit's own may not be overridden by [environment], the others may. */
  fun ofContainer(
    key: ContainerKey,
    ordinal: Int,
    lease: Lease,
    environment: Map<String, String>,
  ): Map<String, String> =
    defaults() + environment + own() +
      mapOf(
        "KNIT_CONTAINER_ID" to lease.containerId,
        "KNIT_SERVICE_NAME" to key.place.serviceName,
        "KNIT_RANK" to key.place.rank.toString(),
        "KNIT_ATTEMPT_NUMBER" to key.attemptNumber.toString(),
        "KNIT_ORDINAL" to ordinal.toString(),
        "KNIT_MEMORY_MIB" to lease.resource.memoryMib.toString(),
        "KNIT_VCORES" to lease.resource.vcores.toString(),
      )

  /** Those of the driver, which is no container. */
  fun ofDriver(environment: Map<String, String>): Map<String, String> = defaults() + environment + own()

  private fun defaults() = defaultEnvironment + if (userName == null) emptyMap() else mapOf("HADOOP_USER_NAME" to userName)

  private fun own() =
    mapOf(
      "KNIT_APPLICATION_ID" to applicationId,
      "KNIT_HISTORY_ID" to historyId,
      "KNIT_AM_ADDRESS" to masterAddress,
    )
}

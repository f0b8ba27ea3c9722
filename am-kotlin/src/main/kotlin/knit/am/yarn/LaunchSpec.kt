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
) {
  /** As YARN is asked for them: it leaves an environment in a tar archive packed. */
  val localResources: Map<String, LocalResource> =
    described.mapValues { (name, resource) -> if (name == pythonEnvironment) resource.asUnpackedByContainers() else resource }
}

/**
 * What YARN is told to run in every container, whatever the user's command.
 *
 * YARN pastes a command into `exec /bin/bash -c "…"`, where `$`, backquotes, backslashes and `"` mean something on the
 * way, and it rewrites `{{X}}` and `<LOG_DIR>` in commands and variables. So the user's command and variables travel as
 * one opaque variable, and only this line, escaped for that, is pasted.
 */
internal const val LAUNCH_COMMAND =
  "exec 1><LOG_DIR>/stdout 2><LOG_DIR>/stderr; " +
    "knit_launch=\\$(printf %s \\\"\\\$KNIT_LAUNCH\\\" | base64 -d) && unset KNIT_LAUNCH && " +
    "exec /bin/bash -c \\\"\\\$knit_launch\\\""

internal const val LAUNCH_VARIABLE = "KNIT_LAUNCH"

/** Linux passes no single variable or argument of more than 128 KiB to a program. */
private const val MAX_VARIABLE_BYTES = 128 * 1024 - 64

/** Returns the value of [LAUNCH_VARIABLE]: a script in base64. Throws where it is longer than Linux passes on. */
internal fun LaunchSpec.encoded(): String {
  val encoded = Base64.getEncoder().encodeToString(script().toByteArray())
  require(encoded.length <= MAX_VARIABLE_BYTES) {
    "The command and its variables are too long: ${encoded.length} bytes once quoted and encoded, of at most $MAX_VARIABLE_BYTES. " +
      "Put the command into a file and submit that beside it."
  }
  return encoded
}

/**
 * A script that activates the Python environment, sets the variables and then becomes the command, with nothing in
 * either expanded.
 *
 * The command waits in `$1`, which no variable of the service can replace. `PATH` comes last, for programs are run before.
 */
internal fun LaunchSpec.script(): String =
  links().joinToString("") { (name, other) -> "ln -s -- ${quoted(other)} ${quoted(name)}\n" } +
    localResources.filterValues { it.memberNames.isNotEmpty() }.keys.joinToString("", transform = ::linksInto) +
    "set -- ${marked(command)}\n" +
    pythonEnvironment?.let(::activationOf).orEmpty() +
    environment.entries
      .sortedBy { it.key == "PATH" }
      .joinToString("") { (name, value) -> "export $name=${marked(value)} && $name=\${$name%x}\n" } +
    "exec /bin/bash -c \"\${1%x}\"\n"

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

/**
 * [text] and an `x` as one word of the shell: quoted, or encoded where that is shorter, for each quote in it makes four.
 *
 * The `x` keeps the newlines at the end of [text], which the shell would drop.
 */
private fun marked(text: String): String {
  val quoted = quoted(text) + "x"
  val encoded = "\"\$(printf %s ${Base64.getEncoder().encodeToString(text.toByteArray())} | base64 -d && printf x)\""
  return if (quoted.toByteArray().size <= encoded.length) quoted else encoded
}

/** [text] as one word of the shell. */
internal fun quoted(text: String): String = "'" + text.replace("'", "'\\''") + "'"

/** Variables every container is given where its service sets no others. */
private val defaultEnvironment = mapOf("LANG" to "C.UTF-8", "PYTHONUNBUFFERED" to "1")

/** Returns the variables of a container: knit's own may not be overridden by [environment], the others may. */
internal fun containerEnvironment(
  applicationId: String,
  key: ContainerKey,
  lease: Lease,
  userName: String?,
  environment: Map<String, String>,
): Map<String, String> {
  val user = if (userName == null) emptyMap() else mapOf("HADOOP_USER_NAME" to userName)
  val own =
    mapOf(
      "KNIT_APPLICATION_ID" to applicationId,
      "KNIT_CONTAINER_ID" to lease.containerId,
      "KNIT_SERVICE_NAME" to key.place.serviceName,
      "KNIT_RANK" to key.place.rank.toString(),
      "KNIT_ATTEMPT_NUMBER" to key.attemptNumber.toString(),
    )
  return defaultEnvironment + user + environment + own
}

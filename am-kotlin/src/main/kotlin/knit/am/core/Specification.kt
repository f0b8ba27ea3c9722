package knit.am.core

import java.net.URI
import java.time.Duration

/** A file or archive a node copies beside the process; [modifyTimeMillis] and [sizeBytes] must be the file system's own. */
data class LocalResource(
  val url: String,
  val sizeBytes: Long,
  val modifyTimeMillis: Long,
  val type: Type,
  val visibility: Visibility,
  /** Of an archive, the files at its top if these are to lie beside the command, instead of in a directory. */
  val memberNames: List<String> = emptyList(),
) {
  enum class Type { FILE, ARCHIVE }

  enum class Visibility { PRIVATE, APPLICATION, PUBLIC }
}

/** A set of like containers, as the submission described it. */
data class ServiceSpec(
  val command: String,
  val instances: Int,
  val resource: Resource,
  val environment: Map<String, String> = emptyMap(),
  val localResources: Map<String, LocalResource> = emptyMap(),
  val failurePolicy: FailurePolicy = FailurePolicy.FAIL_APPLICATION,
  /** Which of [localResources] is the Python environment that is made ready for the command. */
  val pythonEnvironment: String? = null,
  val depends: List<Dependency> = emptyList(),
  /** A failure is charged to the first that names its reason; one that none names is final. */
  val restartBudgets: List<RestartBudget> = RestartBudget.DEFAULTS,
  val backOff: BackOff = BackOff(),
  val readiness: Readiness = Readiness(),
  /** How long a process has between SIGTERM and SIGKILL; null: as its node has it. */
  val stopGrace: Duration? = null,
  val startsTogether: Boolean = false,
  /** How long its containers may wait for YARN; null: without end. */
  val allocationLimit: Duration? = null,
  val allocationPolicy: AllocationPolicy = AllocationPolicy.FAIL,
  val updatePolicy: UpdatePolicy = UpdatePolicy(),
  val access: Access = Access.CONTAINER,
  val scaleDownOrder: ScaleDownOrder = ScaleDownOrder.HIGHEST_RANK_FIRST,
  val placement: Placement = Placement.ANYWHERE,
  /** Whether its containers are given the RM's delegation token, with which they may submit and end applications as the user. */
  val resourceManagerToken: Boolean = false,
) {
  /** Without [command] and the values of [environment], which may be secret. */
  override fun toString(): String = "ServiceSpec($instances × $resource, environment=${environment.keys}, $failurePolicy)"
}

/** How many ranks an application may have, ended ones included: each stays listed to the end. */
internal const val MAX_CONTAINERS = 100_000

/** Linux passes no single argument or variable (`NAME=value`) of 128 KiB or more to a program. */
internal const val MAX_ARGUMENT_BYTES = 128 * 1024 - 1

/** The command and the variables of one container: Linux passes 2 MiB to a program, of which it, the shell and YARN need some. */
internal const val MAX_LAUNCH_BYTES = 1024 * 1024

private const val MAX_FILE_NAME_BYTES = 255
private val serviceName = Regex("[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")

/** How many services an application may have, removed ones included. */
internal const val MAX_SERVICES = 1_000
private val environmentName = Regex("[A-Za-z_][A-Za-z0-9_]*")

/** Why an application of these services cannot be run anywhere, in a sentence for people; null if it can. */
internal fun problemIn(
  services: Map<String, ServiceSpec>,
  hasDriver: Boolean = false,
): String? {
  if (services.isEmpty() && !hasDriver) return "The specification names no service. Add at least one."
  if (services.size > MAX_SERVICES) {
    return "The specification names ${services.size} services, of at most $MAX_SERVICES. Put like ones into one."
  }
  for ((name, service) in services) {
    if (!serviceName.matches(name)) {
      return "'${name.take(MAX_FILE_NAME_BYTES)}' cannot name a service: it must be 1 to 63 letters, digits, '-', '.' and '_', " +
        "and begin and end with a letter or digit."
    }
    val problem = problemIn(service)
    if (problem != null) return "Service $name cannot be run: $problem."
  }
  val total = services.values.sumOf { it.instances.toLong() }
  if (total > MAX_CONTAINERS) {
    return "The specification asks for $total containers; an application holds at most $MAX_CONTAINERS. Ask for fewer instances."
  }
  return problemInDependencies(services)
}

internal fun problemIn(service: ServiceSpec): String? =
  when {
    service.instances < 0 -> "instances is ${service.instances}; it must be 0 or more"
    else -> service.resource.problem()
  }
    ?: problemInLaunch(service.command, service.environment)
    ?: service.localResources.entries.firstNotNullOfOrNull { (name, resource) -> problemInFile(name, resource) }
    ?: service.problemInEnvironment()
    ?: service.problemInPolicies()
    ?: service.placement.problem()

/** Why no program can be started with these, as the end of a sentence without its values, which may be secret; null if one can. */
internal fun problemInLaunch(
  command: String,
  environment: Map<String, String>,
): String? {
  val commandBytes = command.utf8Size
  var total = commandBytes
  for ((name, value) in environment) {
    val bytes = name.utf8Size + 1 + value.utf8Size
    total += bytes
    when {
      !environmentName.matches(name) -> {
        return "'${name.take(MAX_FILE_NAME_BYTES)}' cannot name an environment variable: it must be letters, digits and _, no digit first"
      }

      '\u0000' in value -> {
        return "the value of $name holds a NUL character, which none can"
      }

      bytes > MAX_ARGUMENT_BYTES -> {
        return "$name and its value have $bytes bytes, of at most $MAX_ARGUMENT_BYTES; put the data in a file"
      }
    }
  }
  return when {
    '\u0000' in command -> "its command holds a NUL character, which none can"
    commandBytes > MAX_ARGUMENT_BYTES -> "its command has $commandBytes bytes, of at most $MAX_ARGUMENT_BYTES; put it in a file"
    total > MAX_LAUNCH_BYTES -> "command and environment have $total bytes, of at most $MAX_LAUNCH_BYTES; put the data in a file"
    else -> null
  }
}

/** Why no node can bring [resource] beside a command as [name], as the end of a sentence; null if it can. */
private fun problemInFile(
  name: String,
  resource: LocalResource,
): String? {
  val parts = name.split('/')
  val problem =
    when {
      name.isEmpty() -> "it is empty"

      '\u0000' in name -> "it holds a NUL character, which no file's name can"

      parts.any { it.isEmpty() || it == "." || it == ".." } -> "it must be a path below the working directory, without '.' and '..'"

      parts.any { it.utf8Size > MAX_FILE_NAME_BYTES } -> "a file's name has at most $MAX_FILE_NAME_BYTES bytes"

      // YARN takes what stands before it for the scheme of a URL.
      ':' in parts.first() -> "it has a colon, which YARN does not take there"

      else -> null
    }
  return when {
    problem != null -> "'${name.take(MAX_FILE_NAME_BYTES)}' cannot name a local resource: $problem"
    resource.url.isEmpty() || runCatching { URI(resource.url) }.isFailure -> "the URL of local resource '$name' is none: '${resource.url}'"
    resource.sizeBytes < 0 -> "local resource '$name' has ${resource.sizeBytes} bytes; it must be 0 or more"
    else -> null
  }
}

internal val String.utf8Size: Long
  get() = toByteArray().size.toLong()

/** Why [ServiceSpec.pythonEnvironment] cannot be one, as the end of a sentence; null if it can. */
private fun ServiceSpec.problemInEnvironment(): String? {
  val name = pythonEnvironment ?: return null
  val resource = localResources[name]
  val problem =
    when {
      resource == null && localResources.isEmpty() -> "which is none of its local resources: it has none"
      resource == null -> "which is none of its local resources (${localResources.keys.joinToString()})"
      resource.type != LocalResource.Type.ARCHIVE -> "a local resource of type FILE; it must be an ARCHIVE, for only those are unpacked"
      !resource.isUnpacked -> "which nodes do not unpack: its URL must end with .zip, .jar, .tar, .tar.gz or .tgz"
      else -> null
    }
  return problem?.let { "python_environment is '$name', $it" }
}

/** Whether nodes know this kind of archive, which they tell by the end of its URL; what they do not know they leave packed. */
private val LocalResource.isUnpacked: Boolean
  get() = listOf(".zip", ".jar", ".tar", ".tar.gz", ".tgz").any { url.endsWith(it, ignoreCase = true) }

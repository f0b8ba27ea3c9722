package knit.am.core

/** An amount of what a node offers. YARN may grant more than asked for, never less. */
data class Resource(
  val memoryMib: Long,
  val vcores: Int,
) {
  val isPositive: Boolean
    get() = memoryMib >= 1 && vcores >= 1

  fun fitsIn(limit: Resource): Boolean = memoryMib <= limit.memoryMib && vcores <= limit.vcores

  /** As people read it: `512 MiB and 1 vcores`. */
  override fun toString(): String = "$memoryMib MiB and $vcores vcores"
}

/** What a rank that failed for good means for the rest of the application. */
enum class FailurePolicy { FAIL_APPLICATION, FINISH_OTHERS }

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
  /** How often one rank is started again after its program failed. */
  val maxRestarts: Int = 0,
  /** How often one rank is replaced after YARN took its container away. */
  val maxReplacements: Int = DEFAULT_MAX_REPLACEMENTS,
  val failurePolicy: FailurePolicy = FailurePolicy.FAIL_APPLICATION,
  /** Which of [localResources] is the Python environment that is made ready for the command. */
  val pythonEnvironment: String? = null,
) {
  /** Without [command] and the values of [environment], which may be secret. */
  override fun toString(): String = "ServiceSpec($instances × $resource, environment=${environment.keys}, $failurePolicy)"

  companion object {
    const val DEFAULT_MAX_REPLACEMENTS = 3
  }
}

/** Why an application of these services cannot be run anywhere, in a sentence for people; null if it can. */
internal fun problemIn(services: Map<String, ServiceSpec>): String? {
  if (services.isEmpty()) return "The specification names no service. Add at least one."
  for ((name, service) in services) {
    val problem =
      when {
        service.instances < 0 -> "instances is ${service.instances}; it must be 0 or more"
        !service.resource.isPositive -> "its size is ${service.resource}; both must be at least 1"
        service.maxRestarts < 0 -> "max_restarts is ${service.maxRestarts}; it must be 0 or more"
        service.maxReplacements < 0 -> "max_replacements is ${service.maxReplacements}; it must be 0 or more"
        else -> service.problemInEnvironment()
      }
    if (problem != null) return "Service $name cannot be run: $problem."
  }
  val total = services.values.sumOf { it.instances.toLong() }
  if (total <= MAX_CONTAINERS) return null
  return "The specification asks for $total containers; an application holds at most $MAX_CONTAINERS. Ask for fewer instances."
}

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

/** How many containers an application may hold, ended ones included: every one stays listed to the end. */
internal const val MAX_CONTAINERS = 100_000

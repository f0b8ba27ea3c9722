package knit.am.core

/** An amount of what a node offers. YARN may grant more than asked for, never less. */
data class Resource(
  val memoryMib: Long,
  val vcores: Int,
)

/** What a rank that failed for good means for the rest of the application. */
enum class FailurePolicy { FAIL_APPLICATION, FINISH_OTHERS }

/** A file or archive a node copies beside the process; [modifyTimeMillis] and [sizeBytes] must be the file system's own. */
data class LocalResource(
  val url: String,
  val sizeBytes: Long,
  val modifyTimeMillis: Long,
  val type: Type,
  val visibility: Visibility,
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
) {
  companion object {
    const val DEFAULT_MAX_REPLACEMENTS = 3
  }
}

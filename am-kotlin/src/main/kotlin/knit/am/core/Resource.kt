package knit.am.core

/** An amount of what a node offers. YARN may grant more than asked for, never less. */
data class Resource(
  val memoryMib: Long,
  val vcores: Int,
  /** What else the cluster's administrator has defined, by YARN's name, such as `yarn.io/gpu`. */
  val others: Map<String, Long> = emptyMap(),
) {
  val isPositive: Boolean
    get() = memoryMib >= 1 && vcores >= 1 && others.values.all { it >= 1 }

  fun amountOf(name: String): Long = others[name] ?: 0

  fun fitsIn(limit: Resource): Boolean =
    memoryMib <= limit.memoryMib && vcores <= limit.vcores && others.all { (name, amount) -> amount <= limit.amountOf(name) }

  operator fun plus(other: Resource) = with(other) { mine, theirs -> mine + theirs }

  operator fun minus(other: Resource) = with(other) { mine, theirs -> mine - theirs }

  private fun with(
    other: Resource,
    join: (Long, Long) -> Long,
  ) = Resource(
    join(memoryMib, other.memoryMib),
    join(vcores.toLong(), other.vcores.toLong()).toInt(),
    if (other.others.isEmpty()) others else (others.keys + other.others.keys).associateWith { join(amountOf(it), other.amountOf(it)) },
  )

  /** As people read it: `512 MiB and 1 vcores`, `512 MiB, 1 vcores and 2 yarn.io/gpu`. */
  override fun toString(): String {
    val amounts = listOf("$memoryMib MiB", "$vcores vcores") + others.map { (name, amount) -> "$amount $name" }
    return amounts.dropLast(1).joinToString() + " and " + amounts.last()
  }
}

/** How many named resources a container may ask for: clusters define a handful, and each is a column in the RM's tables. */
internal const val MAX_NAMED_RESOURCES = 32

private const val MAX_RESOURCE_NAME_LENGTH = 255

/** YARN's names for what has a field of its own here. */
private val ownFields = mapOf("memory-mb" to "memory_mib", "memory" to "memory_mib", "vcores" to "vcores")

/** Why no container can have this size anywhere, as the end of a sentence; null if one can. */
internal fun Resource.problem(): String? =
  when {
    memoryMib < 1 || vcores < 1 -> "its size is $this; both must be at least 1"
    others.size > MAX_NAMED_RESOURCES -> "it asks for ${others.size} named resources, of at most $MAX_NAMED_RESOURCES"
    else -> others.entries.firstNotNullOfOrNull { (name, amount) -> problemInAmount(name, amount) }
  }

private fun problemInAmount(
  name: String,
  amount: Long,
): String? =
  when {
    name.isBlank() || name.length > MAX_RESOURCE_NAME_LENGTH -> {
      "'${name.take(MAX_RESOURCE_NAME_LENGTH)}' cannot name a resource: it must be 1 to $MAX_RESOURCE_NAME_LENGTH characters"
    }

    name in ownFields -> {
      "its named resources hold $name, which is ${ownFields[name]}"
    }

    amount < 1 -> {
      "it asks for $amount of $name; it must be at least 1, or be left out"
    }

    else -> {
      null
    }
  }

/** Why YARN grants no container of this size now, as a sentence that begins after its subject; null if it does. */
internal fun Resource.problemIn(limit: Resource): String? {
  val unknown = others.keys.firstOrNull { it !in limit.others }
  return when {
    unknown != null -> {
      "a resource named '$unknown', which this cluster does not grant: it has ${(
        listOf(
          "memory",
          "vcores",
        ) + limit.others.keys
      ).joinToString()}. " +
        "Ask for one of these, or have it defined in the cluster's resource-types.xml; " +
        "the CapacityScheduler counts more than memory only with its DominantResourceCalculator."
    }

    !fitsIn(limit) -> {
      "$this for each container; YARN grants at most $limit to one. " +
        "Ask for less, or have the cluster's yarn.scheduler.maximum-allocation raised."
    }

    else -> {
      null
    }
  }
}

package knit.client

import knit.am.core.Role

/** The file by which any process of the user connects to a running application, in the form that the Python SDK reads and writes. */
internal object ApplicationRecord {
  const val FILE_NAME = "application.json"

  private val cachePattern = Regex("\"cache\"\\s*:\\s*\\[([^\\]]*)]")
  private val resourceManagerPattern = Regex("\"resource_manager\"\\s*:\\s*\"([^\"]*)\"")
  private val namePattern = Regex("\"([^\"]+)\"")

  /**
   * [cacheNames] are the entries of the cache that the application uses; [resourceManager] is whose application it is, for
   * several clusters may keep their applications in one home.
   */
  fun of(
    cacheNames: List<String>,
    keys: Keys,
    resourceManager: String,
  ): String {
    val names = cacheNames.distinct().sorted().joinToString(", ", "[", "]", transform = ::quoted)
    // Containers' own is of no use without a token.
    val others =
      listOf(Role.OPERATOR, Role.VIEWER).map { role ->
        val pair = keys.clients.getValue(role)
        role.name.lowercase() to listOf("cert" to pair.certificate, "key" to pair.key).toJson { quoted(it) }
      }
    val tls =
      listOf(
        "ca" to quoted(keys.authority),
        "client_cert" to quoted(keys.client.certificate),
        "client_key" to quoted(keys.client.key),
        "others" to others.toJson { it },
      ).toJson { it }
    return "{\"version\": 1, \"resource_manager\": ${quoted(resourceManager)}, \"cache\": $names, \"tls\": $tls}"
  }

  /** The entries of the cache that a record names; null where it is not one. No name in a cache holds a quote or a bracket. */
  fun cacheNames(record: String): List<String>? =
    cachePattern.find(record)?.let { list -> namePattern.findAll(list.groupValues[1]).map { it.groupValues[1] }.toList() }

  /** Whose application it is, as [Yarn.identity] has it; null in records of older clients, which did not say. */
  fun resourceManager(record: String): String? = resourceManagerPattern.find(record)?.groupValues?.get(1)

  private fun List<Pair<String, String>>.toJson(value: (String) -> String): String =
    joinToString(", ", "{", "}") { (name, content) -> "${quoted(name)}: ${value(content)}" }

  /** Enough of JSON for names in the cache, addresses and PEM. */
  private fun quoted(text: String): String {
    require(
      text.all { it == '\n' || (it in ' '..'~' && it != '"' && it != '\\') },
    ) { "neither a name in the cache, nor an address, nor PEM" }
    return "\"" + text.replace("\n", "\\n") + "\""
  }
}

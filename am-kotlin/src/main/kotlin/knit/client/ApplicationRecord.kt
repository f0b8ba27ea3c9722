package knit.client

/** The file by which any process of the user connects to a running application, in the form that the Python SDK reads and writes. */
internal object ApplicationRecord {
  const val FILE_NAME = "application.json"

  private val cachePattern = Regex("\"cache\"\\s*:\\s*\\[([^\\]]*)]")
  private val namePattern = Regex("\"([^\"]+)\"")

  /** [cacheNames] are the entries of the cache that the application uses. */
  fun of(
    cacheNames: List<String>,
    keys: Keys,
  ): String {
    val names = cacheNames.distinct().sorted().joinToString(", ", "[", "]", transform = ::quoted)
    val tls =
      listOf("ca" to keys.authority, "client_cert" to keys.client.certificate, "client_key" to keys.client.key)
        .joinToString(", ", "{", "}") { (name, pem) -> "${quoted(name)}: ${quoted(pem)}" }
    return "{\"version\": 1, \"cache\": $names, \"tls\": $tls}"
  }

  /** The entries of the cache that a record names; null where it is not one. No name in a cache holds a quote or a bracket. */
  fun cacheNames(record: String): List<String>? =
    cachePattern.find(record)?.let { list -> namePattern.findAll(list.groupValues[1]).map { it.groupValues[1] }.toList() }

  /** Enough of JSON for names in the cache and PEM. */
  private fun quoted(text: String): String {
    require(text.all { it == '\n' || (it in ' '..'~' && it != '"' && it != '\\') }) { "neither a name in the cache nor PEM" }
    return "\"" + text.replace("\n", "\\n") + "\""
  }
}

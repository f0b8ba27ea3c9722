package knit.am.core

/** Something that people should know, and that no record says. Nothing follows from it: only who watches hears of it. */
data class Noticed(
  val severity: NoticeSeverity,
  /** The service it is about; null: the application. */
  val serviceName: String?,
  /** A sentence. */
  val text: String,
) : Change

enum class NoticeSeverity {
  INFO,

  /** It may become a failure. */
  WARNING,
}

internal fun Turn.notice(
  severity: NoticeSeverity,
  serviceName: String?,
  text: String,
) = put(Noticed(severity, serviceName, text))

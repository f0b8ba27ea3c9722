package knit.am.core

/** A program says how far the application is, 0 to 1, or, with null, says so no more. The answer is the application as it is then. */
data class ReportProgress(
  val progress: Double?,
) : Command<Application>

internal fun Turn.report(report: ReportProgress): () -> Application {
  // Not a number is in no range.
  if (report.progress != null && report.progress !in 0.0..1.0) {
    throw AmException.InvalidArgument("progress is ${report.progress}; it must be 0 to 1.")
  }
  put(application.header.copy(progress = report.progress))
  return { application }
}

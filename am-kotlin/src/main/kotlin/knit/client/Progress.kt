package knit.client

import java.io.PrintStream

/** How things go, a line per step. */
internal class Progress(
  private val err: PrintStream,
) {
  private val began = System.nanoTime()

  fun step(sentence: String) = err.println("knit: $sentence")

  /** Since this was made. */
  fun elapsed(): String = "%.1f s".format(java.util.Locale.ROOT, (System.nanoTime() - began) / 1e9)
}

internal fun humanSize(bytes: Long): String =
  when {
    bytes < 1 shl 20 -> "${(bytes + 1023) / 1024} KiB"
    else -> "%.1f MiB".format(java.util.Locale.ROOT, bytes / 1048576.0)
  }

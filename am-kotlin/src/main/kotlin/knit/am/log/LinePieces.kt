package knit.am.log

/**
 * Counts lines, as readers get them: one that is longer than [MAX_LINE_BYTES] is cut into pieces, and each counts.
 *
 * So the last lines of a file without a newline are found near its end.
 */
internal class LinePieces {
  private var lineBytes = 0

  /** How many have begun. */
  var count = 0L
    private set

  /** Counts all of [content]. */
  fun readAll(content: LogContent) {
    while (true) take(content.next(MAX_CHUNK_BYTES) ?: return, Long.MAX_VALUE)
  }

  /** Passes over [number] pieces; returns how many bytes they have. */
  fun skip(
    content: LogContent,
    number: Long,
  ): Long {
    var bytes = 0L
    while (true) {
      val data = content.next(MAX_CHUNK_BYTES) ?: return bytes
      val taken = take(data, number)
      bytes += taken
      if (taken < data.size) return bytes
    }
  }

  /** Counts [data] up to where the piece after the [most]th begins; returns how much that was. */
  private fun take(
    data: ByteArray,
    most: Long,
  ): Int {
    for (index in data.indices) {
      if (lineBytes == 0 && count == most) return index
      if (lineBytes == 0) count++
      lineBytes++
      if (data[index] == LINE_BREAK || lineBytes == MAX_LINE_BYTES) lineBytes = 0
    }
    return data.size
  }

  companion object {
    /** Where the SDK cuts lines, too. */
    const val MAX_LINE_BYTES = 1024 * 1024
    private const val LINE_BREAK = '\n'.code.toByte()
  }
}

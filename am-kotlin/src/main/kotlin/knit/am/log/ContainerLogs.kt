package knit.am.log

/** Gives out the log files of containers. Blocks, and throws an [java.io.IOException] where they cannot be had; any number of callers. */
interface ContainerLogs {
  /** Returns the names and sizes of a container's log files, ordered by name. */
  fun list(
    nodeHttpAddress: String,
    containerId: String,
    request: NodeRequest = NodeRequest(),
  ): List<LogFile>

  /**
   * Opens the last [lastBytes] bytes of a file, or all of it where that is null or more than there is.
   *
   * The length the file then had comes with it, so that the caller knows where in the file the bytes lie.
   *
   * @throws LogMissingException where there is no such file.
   */
  fun open(
    nodeHttpAddress: String,
    containerId: String,
    fileName: String,
    lastBytes: Long?,
    request: NodeRequest = NodeRequest(),
  ): LogContent
}

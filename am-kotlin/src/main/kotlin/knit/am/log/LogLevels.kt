package knit.am.log

import org.slf4j.LoggerFactory

/** How much the Application Master writes to its own log. */
enum class LogLevel { DEBUG, INFO, WARN, ERROR }

private const val OURS = "knit"

/**
 * Sets what our own loggers write.
 *
 * By name, as slf4j knows no levels: log4j 1, or what stands in for it, is on the class path of most clusters, and not of all.
 */
internal fun setLogLevel(level: LogLevel) {
  try {
    val levels = Class.forName("org.apache.log4j.Level")
    val logger = Class.forName("org.apache.log4j.Logger").getMethod("getLogger", String::class.java).invoke(null, OURS)
    logger.javaClass.getMethod("setLevel", levels).invoke(logger, levels.getMethod("toLevel", String::class.java).invoke(null, level.name))
  } catch (
    other: ReflectiveOperationException,
  ) {
    LoggerFactory
      .getLogger(
        "knit.am.log.LogLevels",
      ).warn("The level of the log stays as it is, for this cluster's Hadoop has no log4j: {}", other.toString())
  }
}

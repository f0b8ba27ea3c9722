package knit.am

import org.slf4j.LoggerFactory

/**
 * Has messages from [level] on written: knit's own, and those of libraries from WARN on at least.
 *
 * By name, for it is Hadoop that brings log4j, or not. Set once the submission is read, which says it: nothing of what comes
 * before is worth more than INFO.
 */
internal fun setLogLevel(level: LogLevel) {
  if (level == LogLevel.INFO) return
  try {
    set("getLogger", arrayOf("knit"), level)
    if (level == LogLevel.ERROR) set("getRootLogger", emptyArray(), level)
  } catch (missing: ReflectiveOperationException) {
    LoggerFactory
      .getLogger(
        "knit.am.LogLevels",
      ).warn("Messages are written as the cluster has it, for it has no log4j 1: {}", missing.toString())
  }
}

private fun set(
  getter: String,
  names: Array<String>,
  level: LogLevel,
) {
  val types = Array<Class<*>>(names.size) { String::class.java }
  val logger = Class.forName("org.apache.log4j.LogManager").getMethod(getter, *types).invoke(null, *names)
  val levels = Class.forName("org.apache.log4j.Level")
  logger.javaClass.getMethod("setLevel", levels).invoke(logger, levels.getField(level.name).get(null))
}

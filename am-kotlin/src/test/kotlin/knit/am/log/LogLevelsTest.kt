package knit.am.log

import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource
import org.slf4j.LoggerFactory
import kotlin.test.assertEquals

class LogLevelsTest {
  private val ours = LoggerFactory.getLogger("knit.am.log.SomethingOfOurs")
  private val hadoops = LoggerFactory.getLogger("org.apache.hadoop.SomethingOfHadoops")

  @AfterEach
  fun restore() = setLogLevel(LogLevel.INFO)

  @ParameterizedTest
  @EnumSource(LogLevel::class)
  fun ourLoggersWriteWhatTheLevelSays(level: LogLevel) {
    setLogLevel(level)
    val enabled =
      mapOf(
        LogLevel.DEBUG to ours.isDebugEnabled,
        LogLevel.INFO to ours.isInfoEnabled,
        LogLevel.WARN to ours.isWarnEnabled,
        LogLevel.ERROR to ours.isErrorEnabled,
      )
    assertEquals(LogLevel.values().associateWith { it >= level }, enabled)
  }

  @Test
  fun hadoopsLoggersStayAsTheyAre() {
    val before = hadoops.isDebugEnabled
    setLogLevel(LogLevel.DEBUG)
    assertEquals(before, hadoops.isDebugEnabled)
  }
}

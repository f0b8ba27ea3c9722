package knit.client

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import java.io.File

/** The same script as the Python SDK's, which has a test against the same files. */
class LaunchScriptTest {
  private val script = File("../sdk-python/src/knit/_launch_am.sh").readText()

  private fun settings(name: String) = checkNotNull(javaClass.getResource("/launch/$name.sh")).readText()

  @Test
  fun theSettingsAndTheScriptAreThePythonSdks() {
    assertEquals(settings("plain") + script, LaunchScript.of(512, listOf("/opt/hadoop/*"), userName = null))
    val odd =
      listOf(
        "\$HADOOP_CONF_DIR",
        "{{HADOOP_HOME}}/share/*<CPS>/x",
        "\${A}/b c/`d`/\"e\"\\$(f)$",
        "/grün/\$ü/it's",
      )
    assertEquals(settings("odd") + script, LaunchScript.of(4096, odd, "o'hara"))
  }

  @Test
  fun theArchiveOfClassesCanBeTurnedOff() {
    val plain = LaunchScript.of(512, listOf("/opt/hadoop/*"), userName = null, classArchive = false)
    assertEquals(settings("plain").replace("class_archive=true", "class_archive=false") + script, plain)
  }

  @Test
  fun theHeapLeavesRoomForTheRestOfTheJvm() {
    val table = mapOf(100L to 64L, 256L to 96L, 512L to 352L, 640L to 480L, 4096L to 3072L)
    assertEquals(table, table.mapValues { LaunchScript.heapMib(it.key) })
  }
}

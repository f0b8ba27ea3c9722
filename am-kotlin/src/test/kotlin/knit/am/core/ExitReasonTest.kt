package knit.am.core

import org.apache.hadoop.yarn.api.records.ContainerExitStatus
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import java.lang.reflect.Modifier

class ExitReasonTest {
  @Test
  fun statusesAreHadoopsOwn() {
    val ours = constantsOf(ExitStatus::class.java).filterKeys { it != "NOT_LAUNCHED" && it != "LOST" }
    assertEquals(constantsOf(ContainerExitStatus::class.java).filterKeys { it != "SUCCESS" }, ours)
  }

  @TestFactory
  fun reasons(): List<DynamicTest> =
    listOf(
      Row(0, "", ExitReason.EXITED),
      Row(1, "", ExitReason.EXITED),
      Row(2, "Traceback: localization of a lost node expired", ExitReason.EXITED),
      Row(137, "", ExitReason.EXITED),
      Row(255, "", ExitReason.EXITED),
      Row(153, "", ExitReason.EXITED),
      Row(154, "Container exited with a non-zero exit code 154", ExitReason.NODE_LOST),
      Row(-1_000, "Resource hdfs://x changed on src filesystem", ExitReason.LOCALIZATION_FAILED),
      Row(-100, "Container released on a *lost* node", ExitReason.NODE_LOST),
      Row(-100, "Container expired since it was unused", ExitReason.LAUNCH_FAILED),
      Row(-100, "Container released by application", ExitReason.KILLED_BY_YARN),
      Row(-101, "", ExitReason.DISK_FAILED),
      Row(-102, "", ExitReason.PREEMPTED),
      Row(-103, "", ExitReason.OUT_OF_MEMORY),
      Row(-104, "", ExitReason.OUT_OF_MEMORY),
      Row(-105, "", ExitReason.KILLED_BY_YARN),
      Row(-106, "", ExitReason.KILLED_BY_YARN),
      Row(-107, "", ExitReason.NODE_LOST),
      Row(-108, "", ExitReason.PREEMPTED),
      Row(-109, "", ExitReason.KILLED_BY_YARN),
      Row(-1, "Failed to launch container", ExitReason.LAUNCH_FAILED),
      Row(-1, "Localizer failed", ExitReason.LOCALIZATION_FAILED),
      Row(-4_242, "", ExitReason.KILLED_BY_YARN),
    ).map { row -> dynamicTest("$row") { assertEquals(row.reason, exitOf(row.exitStatus, row.diagnostics, NOW).reason) } }

  @Test
  fun whoIsEndedForVirtualMemoryIsToldWhatDecidesThat() {
    val yarns = "Container [pid=1] is running 5B beyond the 'VIRTUAL' memory limit.\nContainer exited with a non-zero exit code 143. "
    val said = lastWords(exitOf(ExitStatus.KILLED_EXCEEDED_VMEM, yarns, NOW).diagnostics).orEmpty()
    for (word in listOf("virtual memory", "yarn.nodemanager.vmem-check-enabled", "yarn.nodemanager.vmem-pmem-ratio")) {
      assertTrue(word in said, said)
    }
    assertFalse(said.endsWith("…"), "it is told whole")
    assertEquals(yarns, exitOf(ExitStatus.KILLED_EXCEEDED_PMEM, yarns, NOW).diagnostics)
  }

  @Test
  fun onlyCodesOfAProcessAreExitCodes() {
    assertEquals(0, exitCodeOf(0))
    assertEquals(255, exitCodeOf(255))
    assertNull(exitCodeOf(256))
    assertNull(exitCodeOf(154))
    assertNull(exitCodeOf(-1))
    assertNull(exitCodeOf(ExitStatus.PREEMPTED))
  }

  @Test
  fun codesAbove128AreSignals() {
    val signals = listOf(0, 1, 128, 129, 137, 143, 159, 160, 255).associateWith { exitOf(it, "", NOW).signal }
    val expected = mapOf(0 to null, 1 to null, 128 to null, 129 to 1, 137 to 9, 143 to 15, 159 to 31, 160 to null, 255 to null)
    assertEquals(expected, signals)
  }

  private data class Row(
    val exitStatus: Int,
    val diagnostics: String,
    val reason: ExitReason,
  )

  private fun constantsOf(type: Class<*>): Map<String, Int> =
    type.declaredFields
      .filter { Modifier.isStatic(it.modifiers) && it.type == Int::class.javaPrimitiveType }
      .associate { field -> field.name to field.apply { isAccessible = true }.getInt(null) }
}

package knit.am.log

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Files
import java.nio.file.Path
import kotlin.io.path.appendText
import kotlin.io.path.writeText

/** The Application Master's own files, which it reads itself. */
class OwnLogsTest {
  @TempDir
  lateinit var first: Path

  @TempDir
  lateinit var second: Path

  /** Says who it was asked for. */
  private val others =
    object : ContainerLogs {
      override fun list(
        nodeHttpAddress: String,
        containerId: String,
        request: NodeRequest,
      ) = listOf(LogFile("of $containerId", 1))

      override fun open(
        nodeHttpAddress: String,
        containerId: String,
        fileName: String,
        lastBytes: Long?,
        request: NodeRequest,
      ) = throw LogMissingException(true, "of $containerId")
    }
  private val logs by lazy { OwnLogs(OWN, listOf(first, second), others) }

  private fun open(
    name: String,
    lastBytes: Long? = null,
  ) = logs.open("node1:8042", OWN, name, lastBytes)

  @Test
  fun theFilesOfAllDisksAreThere() {
    first.resolve("stdout").writeText("12")
    second.resolve("driver.stdout").writeText("123")
    Files.createDirectory(second.resolve("folder"))
    assertEquals(listOf(LogFile("driver.stdout", 3), LogFile("stdout", 2)), logs.list("node1:8042", OWN))
    assertEquals("123", open("driver.stdout").use { String(checkNotNull(it.next(10))) })
  }

  @Test
  fun itsLastBytesAreGivenWithTheLengthOfThatMomentAndNothingAfterIt() {
    val file = first.resolve("stderr")
    file.writeText("0123456789")
    open("stderr", lastBytes = 4).use { content ->
      file.appendText("This log file belongs to a running container")
      assertEquals(6L to 10L, content.startBytes to content.lengthBytes)
      assertEquals("6789", String(checkNotNull(content.next(100))))
      assertNull(content.next(100))
      content.close()
      assertFalse(content.isRunning, "what the program writes says nothing of the node")
    }
  }

  @Test
  fun whatIsNoFileIsMissing() {
    val secret = first.resolve("secret").apply { writeText("secret") }
    Files.createSymbolicLink(first.resolve("link"), secret)
    for (name in listOf("link", "none")) assertThrows<LogMissingException> { open(name) }
    assertEquals(listOf("secret"), logs.list("node1:8042", OWN).map { it.name })
  }

  @Test
  fun othersAreAskedOfOthers() {
    assertEquals("of container_2", logs.list("node1:8042", "container_2").single().name)
    assertThrows<LogMissingException> { logs.open("node1:8042", "container_2", "stdout", null) }
  }

  @Test
  fun aNameThatIsOnTwoDisksIsOneFileAndADiskThatIsGoneHoldsNone() {
    first.resolve("stdout").writeText("12")
    second.resolve("stdout").writeText("1")
    val logs = OwnLogs(OWN, listOf(first.resolve("gone"), first, second), others)
    assertEquals(listOf(LogFile("stdout", 2)), logs.list("node1:8042", OWN))
    assertEquals("12", logs.open("node1:8042", OWN, "stdout", null).use { String(checkNotNull(it.next(10))) })
  }

  @Test
  fun ofMoreThanThereIsAllIsGiven() {
    first.resolve("stdout").writeText("123")
    open("stdout", lastBytes = 1000).use { content ->
      assertEquals(0L to 3L, content.startBytes to content.lengthBytes)
      assertEquals("123", String(checkNotNull(content.next(100))))
    }
    open("stdout", lastBytes = 0).use { content -> assertEquals(3L to 3L, content.startBytes to content.lengthBytes) }
  }

  @Test
  fun whereItIsNotKnownWhereTheyAreOthersAreAsked() {
    assertEquals("of $OWN", OwnLogs(OWN, emptyList(), others).list("node1:8042", OWN).single().name)
  }

  private companion object {
    const val OWN = "container_1"
  }
}

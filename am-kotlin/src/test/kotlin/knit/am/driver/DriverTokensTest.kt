package knit.am.driver

import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.DataInputStream
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.attribute.PosixFilePermissions

class DriverTokensTest {
  @TempDir
  lateinit var directory: Path
  private var present = "first"
  private val tokens by lazy { DriverTokens(directory) { Credentials().apply { addSecretKey(Text("a"), present.toByteArray()) } } }

  private fun read(): String {
    val read = Credentials()
    DataInputStream(Files.newInputStream(tokens.file)).use { read.readTokenStorageStream(it) }
    return String(read.getSecretKey(Text("a")))
  }

  @Test
  fun aDriverThatRunsFindsNewOnesInTheSameFile() {
    tokens.write()
    assertEquals("first", read())
    present = "second"
    tokens.replace()
    assertEquals("second", read())
    assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(tokens.file)))
    assertEquals(
      listOf(tokens.file.fileName.toString()),
      directory
        .toFile()
        .list()
        .orEmpty()
        .toList(),
      "no part is left behind",
    )
  }

  @Test
  fun whatIsLeftOfAnEarlierOneIsNoHindrance() {
    Files.write(directory.resolve(".driver_tokens.part"), byteArrayOf(1))
    tokens.write()
    assertEquals("first", read())
  }

  @Test
  fun beforeADriverStartsNothingIsWritten() {
    tokens.replace()
    assertFalse(Files.exists(tokens.file))
  }
}

package knit.am.yarn

import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.apache.hadoop.conf.Configuration
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.CountDownLatch

class HdfsStagingTest {
  @TempDir
  lateinit var home: Path

  private val complaints = mutableListOf<String>()
  private val configuration = lazy { Configuration() }

  private fun staging(
    directory: String,
    hadoop: Lazy<Configuration> = configuration,
    version: String = "3.4.2",
  ) = HdfsStaging(hadoop, "application_1_0001", home.resolve(directory).toUri().toString(), Dispatchers.IO, { version }, complaints::add)

  private fun directory(name: String): Path =
    Files.createDirectories(home.resolve(name)).also { it.resolve("keys").toFile().writeText("secret") }

  @Test
  fun theApplicationsDirectoryIsRemovedAndNoOther() =
    runBlocking {
      val own = directory("application_1_0001")
      val other = directory("application_1_0002")
      staging("application_1_0001").remove()
      staging("application_1_0002").remove()
      assertFalse(Files.exists(own), "$complaints")
      assertTrue(Files.exists(other.resolve("keys")))
      assertTrue("not named after the application" in complaints.single(), "$complaints")
    }

  @Test
  fun theAddressIsLeftWhereYarnTellsNone() =
    runBlocking {
      val own = directory("application_1_0001")
      staging("application_1_0001").publish("node1:1234")
      assertFalse(Files.exists(own.resolve("address")))
      staging("application_1_0001", version = "2.10.2").publish("node1:1234")
      assertEquals("node1:1234", own.resolve("address").toFile().readText())
      assertEquals(emptyList<String>(), complaints)
    }

  @Test
  fun theEndOfTheApplicationMasterIsNoFailure() =
    runBlocking {
      val begun = CountDownLatch(1)
      val slow =
        lazy<Configuration> {
          begun.countDown()
          Thread.sleep(60_000)
          Configuration()
        }
      val publishing =
        launch(Dispatchers.Default, CoroutineStart.DEFAULT) { staging("application_1_0001", slow, "2.10.2").publish("node1:1234") }
      begun.await()
      publishing.cancelAndJoin()
      assertEquals(emptyList<String>(), complaints)
    }
}

package knit.client

import org.apache.hadoop.fs.FileSystem
import org.apache.hadoop.yarn.api.records.ApplicationId
import org.apache.hadoop.yarn.api.records.FinalApplicationStatus
import org.apache.hadoop.yarn.api.records.YarnApplicationState
import org.apache.hadoop.yarn.exceptions.ApplicationNotFoundException
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.attribute.FileTime
import java.time.Duration

class SweepTest {
  @TempDir
  lateinit var directory: Path
  private lateinit var knit: File
  private val now = 1_800_000_000_000
  private val newest = ApplicationId.newInstance(1_700_000_000_000, 500)

  /** Of each application by its number: its state, and how long ago it ended. Others are not known. */
  private val known = mutableMapOf<Int, Pair<YarnApplicationState, Duration>>()
  private val yarn: Yarn =
    object : Yarn by FakeYarn() {
      override fun report(id: ApplicationId): Yarn.Report {
        val (state, since) = known[id.id] ?: throw ApplicationNotFoundException("$id")
        return Yarn.Report(state, FinalApplicationStatus.UNDEFINED, "", null, finishTimeMillis = now - since.toMillis())
      }
    }

  @BeforeEach
  fun setUp() {
    knit = directory.resolve(".knit").toFile()
    File(knit, "applications").mkdirs()
    File(knit, "cache").mkdir()
  }

  private fun application(
    name: String,
    vararg uses: String,
    resourceManager: String? = FakeYarn.IDENTITY,
    age: Duration = Duration.ZERO,
  ) {
    val home = File(knit, "applications/$name").apply { mkdir() }
    val owner = resourceManager?.let { "\"resource_manager\": \"$it\", " }.orEmpty()
    File(home, "application.json").writeText("{\"version\": 1, $owner\"cache\": [${uses.joinToString { "\"$it\"" }}], \"tls\": null}")
    home.setLastModified(now - age.toMillis())
  }

  private fun entry(
    name: String,
    age: Duration,
  ) {
    val path = File(knit, "cache/$name").apply { writeText("x") }.toPath()
    val time = FileTime.fromMillis(now - age.toMillis())
    Files.setAttribute(path, "lastAccessTime", time)
    Files.setLastModifiedTime(path, time)
  }

  private fun sweep(): Set<String> {
    val configuration = HomeFileSystem.configuration(directory)
    val files = FileSystem.get(configuration)
    return Sweep(files, Staging(files, configuration), yarn, newest) { now }.run().map { it.name }.toSet()
  }

  @Test
  fun onlyWhatNobodyNeedsIsRemoved() {
    known[1] = YarnApplicationState.KILLED to Duration.ofMinutes(11)
    known[2] = YarnApplicationState.FINISHED to Duration.ofMinutes(9)
    known[3] = YarnApplicationState.RUNNING to Duration.ofDays(90)
    application("application_1700000000000_0001", "of-the-killed")
    application("application_1700000000000_0002")
    application("application_1700000000000_0003", "of-the-running")
    application("application_1700000000000_0400")
    application("application_1700000000000_0499")
    application("application_1600000000000_9999")
    application("something-else")
    entry("of-the-killed", Duration.ofDays(31))
    entry("of-the-running", Duration.ofDays(90))
    entry("young", Duration.ofDays(29))
    entry(".x.part", Duration.ofHours(25))
    entry(".y.part", Duration.ofHours(23))
    val gone =
      setOf(
        "application_1700000000000_0001",
        "application_1700000000000_0400",
        "application_1600000000000_9999",
        "of-the-killed",
        ".x.part",
      )
    assertEquals(gone, sweep())
    assertEquals(emptySet<String>(), sweep())
  }

  @Test
  fun whatAnotherClusterKnowsIsLeftAloneForAMonth() {
    known[7] = YarnApplicationState.RUNNING to Duration.ZERO
    val other = "another:8032"
    // Another cluster's, who may have the same number as one of ours, and younger or older than ours.
    application("application_1700000000000_0001", "of-another", resourceManager = other, age = Duration.ofDays(29))
    application("application_1600000000000_9999", resourceManager = other, age = Duration.ofDays(29))
    application("application_1800000000000_0001", resourceManager = other, age = Duration.ofDays(31))
    // Of clients that did not say whose they are.
    application("application_1600000000000_0001", resourceManager = null, age = Duration.ofDays(29))
    application("application_1600000000000_0002", resourceManager = null, age = Duration.ofDays(31))
    application("application_1700000000000_0007", resourceManager = null, age = Duration.ofDays(90))
    // And one whose submission broke off before it had a record.
    File(knit, "applications/application_1600000000000_0003").apply { mkdir() }.setLastModified(now - Duration.ofDays(31).toMillis())
    File(knit, "applications/application_1600000000000_0004").apply { mkdir() }.setLastModified(now - Duration.ofDays(29).toMillis())
    entry("of-another", Duration.ofDays(90))
    assertEquals(
      setOf("application_1800000000000_0001", "application_1600000000000_0002", "application_1600000000000_0003"),
      sweep(),
    )
  }

  @Test
  fun whereNoAccessTimesAreRecordedAMarkSaysWhenAnEntryWasUsed() {
    entry("used", Duration.ofDays(90))
    entry("used.used", Duration.ofDays(1))
    entry("unused", Duration.ofDays(90))
    entry("unused.used", Duration.ofDays(31))
    entry("gone.used", Duration.ofDays(31))
    assertEquals(setOf("unused", "unused.used", "gone.used"), sweep())
  }

  @Test
  fun anUnreadableRecordLeavesTheCacheAlone() {
    known[3] = YarnApplicationState.RUNNING to Duration.ZERO
    application("application_1700000000000_0003")
    File(knit, "applications/application_1700000000000_0003/application.json").writeText("{}")
    entry("old", Duration.ofDays(90))
    assertEquals(emptySet<String>(), sweep())
  }

  @Test
  fun whereThereIsNothingNothingIsRemoved() {
    knit.deleteRecursively()
    assertEquals(emptySet<String>(), sweep())
  }
}

package knit.client

import knit.am.core.LocalResource
import knit.am.core.Role
import org.apache.hadoop.fs.FileSystem
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.file.Files
import java.nio.file.attribute.FileTime
import java.nio.file.attribute.PosixFilePermissions
import java.nio.file.Path as LocalPath

class StagingTest {
  @TempDir
  lateinit var directory: LocalPath
  private lateinit var home: File
  private lateinit var files: FileSystem
  private lateinit var staging: Staging
  private lateinit var cache: File

  @BeforeEach
  fun setUp() {
    home = directory.resolve("home").toFile().apply { mkdir() }
    val configuration = HomeFileSystem.configuration(home.toPath())
    files = FileSystem.get(configuration)
    staging = Staging(files, configuration)
    cache = File(home, ".knit/cache")
  }

  private fun source(
    name: String,
    content: String,
  ) = FileSource.of(
    directory
      .resolve(name)
      .toFile()
      .apply { writeText(content) }
      .path,
  )

  private fun stage(source: FileSource) = staging.stage(Staging.prepare(source))

  private fun permissions(file: File) = PosixFilePermissions.toString(Files.getPosixFilePermissions(file.toPath()))

  @Test
  fun aFileIsNamedByItsContentAndSeenByItsOwnerOnly() {
    val staged = stage(source("Script.PY", "hello"))
    val name = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824.py"
    assertEquals(listOf(name), cache.list().orEmpty().toList())
    assertEquals(5, staged.sentBytes)
    assertEquals("home:${cache.path}/$name", staged.resource.url.replace("home://", "home:"))
    assertEquals(5, staged.resource.sizeBytes)
    assertEquals(File(cache, name).lastModified(), staged.resource.modifyTimeMillis)
    assertEquals(LocalResource.Visibility.PRIVATE, staged.resource.visibility)
    assertEquals("rw-------", permissions(File(cache, name)))
    for (each in listOf(".knit", ".knit/cache", ".knit/applications")) assertEquals("rwx------", permissions(File(home, each)))
  }

  @Test
  fun aContentTravelsOnce() {
    val first = stage(source("a.txt", "same"))
    val again = stage(source("b.txt", "same"))
    assertEquals(first.resource, again.resource)
    assertEquals(0, again.sentBytes)
    // A broken copy is replaced.
    File(cache, cache.list().orEmpty().single()).writeText("sam")
    assertEquals(4, stage(source("c.txt", "same")).sentBytes)
    assertEquals("same", File(cache, cache.list().orEmpty().single()).readText())
  }

  @Test
  fun aUseIsNotedAndTheModificationTimeStays() {
    val staged = stage(source("a.txt", "same"))
    val entry = File(cache, cache.list().orEmpty().single()).toPath()
    val modified = Files.getLastModifiedTime(entry)
    Files.setAttribute(entry, "lastAccessTime", FileTime.fromMillis(1_000))
    Files.setLastModifiedTime(entry, modified)
    stage(source("a.txt", "same"))
    assertEquals(staged.resource.modifyTimeMillis, Files.getLastModifiedTime(entry).toMillis())
    assertTrue((Files.getAttribute(entry, "lastAccessTime") as FileTime).toMillis() > 1_000)
  }

  @Test
  fun aFileThatChangesMeanwhileIsToldAndLeavesNothing() {
    val source = source("log.txt", "begin")
    val prepared = Staging.prepare(source)
    checkNotNull(source.localFile).appendText(" and more")
    val refused = assertThrows(RefusedException::class.java) { staging.stage(prepared) }
    assertTrue("changed while" in refused.message.orEmpty())
    assertEquals(emptyList<String>(), cache.list().orEmpty().toList())
  }

  @Test
  fun theEndOfANameIsKeptWhereItIsOfUse() {
    val table =
      mapOf(
        "a.TAR.GZ" to ".tar.gz",
        "a.tgz" to ".tgz",
        "a.b.zip" to ".zip",
        "a.jar" to ".jar",
        "a.py" to ".py",
        "a" to "",
        ".profile" to "",
        "a.näh" to "",
        "a.x y" to "",
        "a.12345678901" to "",
        "a." to "",
      )
    assertEquals(table, table.mapValues { Staging.extension(it.key) })
  }

  @Test
  fun whatIsOnTheClusterIsUsedInPlace() {
    val there = File(home, "data set.csv").apply { writeText("1,2,3") }
    val source = FileSource.of("home://${there.path.replace(" ", "%20")}")
    val staged = staging.inPlace(source)
    assertEquals("data set.csv", source.name)
    assertEquals(5, staged.resource.sizeBytes)
    assertFalse(cache.exists(), "nothing is sent")
    for ((wrong, said) in mapOf("home://${home.path}/none" to "does not exist", "home://${home.path}" to "is a directory")) {
      val refused = assertThrows(RefusedException::class.java) { staging.inPlace(FileSource.of(wrong)) }
      assertTrue(said in refused.message.orEmpty())
    }
  }

  @Test
  fun theRecordIsForItsOwnerAndNamesWhatItUses() {
    val keys = Keys.generate()
    val staged = listOf(stage(source("b.zip", "b")), stage(source("a.py", "a")), stage(source("c.py", "a")))
    staging.register("application_1_0001", staged.map { it.resource }, keys, "rm:8032")
    val record = File(home, ".knit/applications/application_1_0001/application.json")
    assertEquals("rw-------", permissions(record))
    assertEquals("rwx------", permissions(record.parentFile))
    assertEquals(
      listOf(
        "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d.zip",
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb.py",
      ),
      ApplicationRecord.cacheNames(record.readText()),
    )
    staging.remove("application_1_0001")
    assertFalse(record.parentFile.exists())
    staging.remove("application_1_0001")
  }

  @Test
  fun theRecordIsJsonInTheFormOfThePythonSdk() {
    val keys = Keys.generate()
    val text = ApplicationRecord.of(listOf("b.zip", "a", "b.zip"), keys, "rm1:8032,rm2:8032")

    fun quoted(pem: String) = "\"" + pem.replace("\n", "\\n") + "\""

    fun pair(role: Role) = keys.clients.getValue(role).let { "{\"cert\": ${quoted(it.certificate)}, \"key\": ${quoted(it.key)}}" }
    assertEquals(
      "{\"version\": 1, \"resource_manager\": \"rm1:8032,rm2:8032\", \"cache\": [\"a\", \"b.zip\"], " +
        "\"tls\": {\"ca\": ${quoted(keys.authority)}, " +
        "\"client_cert\": ${quoted(keys.client.certificate)}, \"client_key\": ${quoted(keys.client.key)}, " +
        "\"others\": {\"operator\": ${pair(Role.OPERATOR)}, \"viewer\": ${pair(Role.VIEWER)}}}}",
      text,
    )
    assertEquals(listOf("a", "b.zip"), ApplicationRecord.cacheNames(text))
    assertEquals("rm1:8032,rm2:8032", ApplicationRecord.resourceManager(text))
    assertNull(ApplicationRecord.resourceManager("{\"cache\": []}"))
    assertEquals(listOf("x"), ApplicationRecord.cacheNames("{\"cache\":[\n\"x\"],\"version\":1}"))
    assertEquals(emptyList<String>(), ApplicationRecord.cacheNames("{\"cache\": []}"))
    assertNull(ApplicationRecord.cacheNames("{}"))
  }

  @Test
  fun anAbandonedRecordGoesWithTheProcess() {
    staging.register("application_1_0001", emptyList(), Keys.generate(), "rm:8032")
    staging.register("application_1_0002", emptyList(), Keys.generate(), "rm:8032")
    staging.keep("application_1_0002")
    // As Hadoop's own hook does when the process ends.
    files.close()
    assertEquals(listOf("application_1_0002"), File(home, ".knit/applications").list().orEmpty().toList())
  }
}

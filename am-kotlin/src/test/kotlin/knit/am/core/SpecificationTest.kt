package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class SpecificationTest {
  private fun file(
    url: String = "hdfs://nn/env.tar.gz",
    type: LocalResource.Type = LocalResource.Type.ARCHIVE,
  ) = LocalResource(url, 1, 2, type, LocalResource.Visibility.PRIVATE)

  private fun gpus(amount: Long) = SMALL.copy(others = mapOf("yarn.io/gpu" to amount))

  private fun withFile(
    name: String,
    file: LocalResource = file(),
  ) = service().copy(localResources = mapOf(name to file))

  private fun inEnvironment(vararg files: Pair<String, LocalResource>) =
    service().copy(localResources = mapOf(*files), pythonEnvironment = "ENV")

  @Test
  fun whatCannotBeRunIsSaidInASentence() {
    val table =
      listOf(
        service(instances = -1) to "Service worker cannot be run: instances is -1; it must be 0 or more.",
        service(resource = Resource(0, 1)) to "Service worker cannot be run: its size is 0 MiB and 1 vcores; both must be at least 1.",
        service(resource = gpus(0)) to "Service worker cannot be run: it asks for 0 of yarn.io/gpu; it must be at least 1, or be left out.",
        service(resource = SMALL.copy(others = mapOf("vcores" to 1))) to
          "Service worker cannot be run: its named resources hold vcores, which is vcores.",
        service(resource = SMALL.copy(others = mapOf("memory-mb" to 1))) to
          "Service worker cannot be run: its named resources hold memory-mb, which is memory_mib.",
        service(resource = SMALL.copy(others = mapOf(" " to 1))) to
          "Service worker cannot be run: ' ' cannot name a resource: it must be 1 to 255 characters.",
        service(resource = SMALL.copy(others = (1..33).associate { "r$it" to 1L })) to
          "Service worker cannot be run: it asks for 33 named resources, of at most 32.",
        service(instances = 100_000) to
          "The specification asks for 100001 containers; an application holds at most 100000. Ask for fewer instances.",
        service(environment = mapOf("A B" to "")) to
          "Service worker cannot be run: 'A B' cannot name an environment variable: it must be letters, digits and _, no digit first.",
        service(environment = mapOf("A" to "x\u0000")) to
          "Service worker cannot be run: the value of A holds a NUL character, which none can.",
        service(environment = mapOf("A" to "é".repeat(65_535))) to
          "Service worker cannot be run: A and its value have 131072 bytes, of at most 131071; put the data in a file.",
        service(environment = (0..10).associate { "V$it" to "x".repeat(100_000) }) to
          "Service worker cannot be run: command and environment have 1100038 bytes, of at most 1048576; put the data in a file.",
        service().copy(command = "x".repeat(131_072)) to
          "Service worker cannot be run: its command has 131072 bytes, of at most 131071; put it in a file.",
        service().copy(command = "a\u0000b") to "Service worker cannot be run: its command holds a NUL character, which none can.",
        withFile("") to "Service worker cannot be run: '' cannot name a local resource: it is empty.",
        withFile("a", file("hdfs://nn/a b")) to
          "Service worker cannot be run: the URL of local resource 'a' is none: 'hdfs://nn/a b'.",
        withFile("a", file().copy(sizeBytes = -1)) to
          "Service worker cannot be run: local resource 'a' has -1 bytes; it must be 0 or more.",
        withFile("file:x") to
          "Service worker cannot be run: 'file:x' cannot name a local resource: it has a colon, which YARN does not take there.",
        withFile("../x") to
          "Service worker cannot be run: '../x' cannot name a local resource: " +
          "it must be a path below the working directory, without '.' and '..'.",
        withFile("a/" + "é".repeat(128)) to
          "Service worker cannot be run: 'a/${"é".repeat(128)}' cannot name a local resource: a file's name has at most 255 bytes.",
        inEnvironment() to "Service worker cannot be run: python_environment is 'ENV', which is none of its local resources: it has none.",
        inEnvironment("a" to file(), "b" to file()) to
          "Service worker cannot be run: python_environment is 'ENV', which is none of its local resources (a, b).",
        inEnvironment("ENV" to file(type = LocalResource.Type.FILE)) to
          "Service worker cannot be run: python_environment is 'ENV', a local resource of type FILE; " +
          "it must be an ARCHIVE, for only those are unpacked.",
        inEnvironment("ENV" to file("hdfs://nn/env.tar.bz2")) to
          "Service worker cannot be run: python_environment is 'ENV', which nodes do not unpack: " +
          "its URL must end with .zip, .jar, .tar, .tar.gz or .tgz.",
      )
    for ((service, problem) in table) {
      assertEquals(problem, problemIn(mapOf("good" to service(), "worker" to service)))
    }
    assertEquals("The specification names no service. Add at least one.", problemIn(emptyMap()))
    for (name in listOf("", "-a", "a-", "a".repeat(64), "ä")) {
      assertTrue("'$name' cannot name a service" in problemIn(mapOf(name to service())).orEmpty(), name)
    }
  }

  @Test
  fun whatIsJustWithinTheBoundsCanBeRun() {
    val good =
      listOf(
        service(environment = mapOf("_A" to "é".repeat(65_534))),
        service().copy(command = "x".repeat(131_071)),
        withFile("dir/a:b c\u00e9"),
        withFile("a".repeat(255)),
      )
    for (service in good) assertEquals(null, problemIn(mapOf("a".repeat(63) to service)))
  }

  @Test
  fun everyArchiveThatNodesUnpackMayBeAnEnvironment() {
    for (url in listOf("hdfs://nn/a%20b.zip", "hdfs://nn/e.tar.gz", "hdfs://nn/e.tgz", "hdfs://nn/e.tar", "hdfs://nn/E.ZIP")) {
      assertEquals(null, problemIn(mapOf("worker" to inEnvironment("ENV" to file(url)))))
    }
  }

  @Test
  fun aSpecificationThatCannotBeRunEndsTheApplicationBeforeAnythingIsAskedFor() {
    val application = registered("worker" to inEnvironment())
    assertEquals(emptyMap<Resource, Int>(), application.wanted())
    assertEquals(FinalStatus.FAILED, application.outcome?.finalStatus)
    assertTrue("python_environment is 'ENV'" in application.outcome?.diagnostics.orEmpty())
  }
}

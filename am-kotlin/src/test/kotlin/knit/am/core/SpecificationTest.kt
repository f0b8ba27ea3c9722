package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class SpecificationTest {
  private fun file(
    url: String = "hdfs://nn/env.tar.gz",
    type: LocalResource.Type = LocalResource.Type.ARCHIVE,
  ) = LocalResource(url, 1, 2, type, LocalResource.Visibility.PRIVATE)

  private fun inEnvironment(vararg files: Pair<String, LocalResource>) =
    service().copy(localResources = mapOf(*files), pythonEnvironment = "ENV")

  @Test
  fun whatCannotBeRunIsSaidInASentence() {
    val table =
      listOf(
        service(instances = -1) to "Service worker cannot be run: instances is -1; it must be 0 or more.",
        service(maxRestarts = -1) to "Service worker cannot be run: max_restarts is -1; it must be 0 or more.",
        service(maxReplacements = -1) to "Service worker cannot be run: max_replacements is -1; it must be 0 or more.",
        service(resource = Resource(0, 1)) to "Service worker cannot be run: its size is 0 MiB and 1 vcores; both must be at least 1.",
        service(instances = 100_000) to
          "The specification asks for 100001 containers; an application holds at most 100000. Ask for fewer instances.",
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

package knit.client

import knit.am.core.LocalResource
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withTimeoutOrNull
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.FileSystem
import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.yarn.api.records.ApplicationId
import org.apache.hadoop.yarn.exceptions.ApplicationNotFoundException
import java.io.File

/** An application that YARN has accepted. */
internal class Submitted(
  val id: ApplicationId,
  val keys: Keys,
  val files: FileSystem,
  val staging: Staging,
)

/** Brings a request to the cluster. It is checked first, and nothing is sent before the checks are done. */
internal class Submitter(
  private val request: Request,
  private val configuration: Configuration,
  private val yarn: Yarn,
  private val jar: File,
  private val progress: Progress,
) {
  private val fileSystemName = configuration.getTrimmed(DEFAULT_FILE_SYSTEM)

  /**
   * Returns once YARN has accepted it. Whatever fails leaves nothing on the cluster but files in the cache; where YARN may
   * have taken the application all the same, what it takes to talk to it is left too.
   */
  suspend fun submit(): Submitted =
    coroutineScope {
      // Hadoop's clients of YARN and of HDFS take a second each to load, so they do it side by side.
      val new = blocking { checkYarn() }
      val fileSystem = blocking { checkFileSystem() }
      val keys = async(Dispatchers.Default) { Keys.generate() }
      val jarSource = FileSource.of(jar.path)
      val sources = listOf(jarSource) + request.everyFile
      val contents = sources.filter { it.localFile != null }.map { blocking { Staging.prepare(it) } }

      withTimeoutOrNull(CHECKS_MILLIS) { listOf(new, fileSystem).awaitAll() }
        ?: throw RefusedException(
          (if (new.isCompleted) "The file system $fileSystemName" else "The ResourceManager at ${yarn.address}") +
            " takes connections, but does not answer. Look at its log, and whether this is its port.",
        )
      val id = new.await().id
      val files = fileSystem.await()
      val staging = Staging(files, configuration)
      val inPlace =
        request.everyFile.filter { it.localFile == null }.map {
          blocking { it to atTheFileSystem("Looking at ${it.source}") { staging.inPlace(it) } }
        }
      val there = inPlace.awaitAll()
      progress.step("checked the cluster (${progress.elapsed()})")

      val uploads =
        contents.awaitAll().map {
          blocking {
            it.source to
              atTheFileSystem(
                "Sending ${it.source.source}",
              ) { staging.stage(it) }
          }
        }
      val staged = (uploads.awaitAll() + there).toMap()
      val sent = staged.values.filter { it.sentBytes > 0 }
      if (sent.isNotEmpty()) {
        progress.step(
          "uploaded ${if (sent.size == 1) "1 file" else "${sent.size} files"}, ${humanSize(
            sent.sumOf { it.sentBytes },
          )} (${progress.elapsed()})",
        )
      }

      val submitted = Submitted(id, keys.await(), files, staging)
      // Before it is: whoever interrupts this then knows what to look for.
      progress.step("submitting $id (${progress.elapsed()})")
      blocking { handIn(submitted, staged.mapValues { it.value.resource }, jarSource) }.await()
      progress.step("submitted $id to queue ${request.queue} (${progress.elapsed()})")
      submitted
    }

  private fun checkYarn(): Yarn.NewApplication =
    asking({ "Asking the ResourceManager at ${yarn.address}" }, "Check yarn.resourcemanager.address, and that the ResourceManager runs.") {
      checkQueue(yarn.queues(), request.queue)
      yarn.newApplication().also { new ->
        checkResources(
          yarn.nodes(),
          new.maximum,
          mapOf("The Application Master" to Request.APPLICATION_MASTER, "The command" to request.resource),
        )
      }
    }

  private fun checkFileSystem(): FileSystem =
    atTheFileSystem("Asking the file system $fileSystemName", "Check $DEFAULT_FILE_SYSTEM, and that the NameNode runs.") {
      FileSystem.get(configuration).also { checkHome(it, user()) }
    }

  private fun handIn(
    submitted: Submitted,
    resources: Map<FileSource, LocalResource>,
    jarSource: FileSource,
  ) {
    val id = submitted.id
    val staging = submitted.staging
    val userName = if (UserGroupInformation.isSecurityEnabled()) null else user()
    val spec =
      request.toSpec(
        resources,
        atTheFileSystem("Preparing the directory .knit") { staging.urlOf(id.toString()) },
        userName.orEmpty(),
      )
    val tokens =
      atTheFileSystem("Asking for delegation tokens") { tokens(configuration, request.fileSystems(submitted.files, configuration), yarn) }
    val context =
      submissionContext(
        request,
        id,
        resources.getValue(jarSource),
        launchScript(configuration, userName),
        secretsOf(spec, submitted.keys, tokens),
        cancelsTokens = !isInContainerWithTokens(),
      )
    atTheFileSystem("Writing down how to talk to $id") {
      staging.register(id.toString(), resources.values.toList(), submitted.keys, yarn.identity)
    }
    // From here on YARN may have it, whatever ends this process: then its keys must not go.
    staging.keep(id.toString())
    try {
      asking({ "Submitting $id" }, "Look at the ResourceManager's log.") { yarn.submit(context) }
    } catch (
      @Suppress("TooGenericExceptionCaught") failure: Exception,
    ) {
      throw takenBack(id, staging, failure)
    }
  }

  /** Leaves nothing behind of a submission that failed, unless YARN may still have it. Returns what is to be told. */
  private fun takenBack(
    id: ApplicationId,
    staging: Staging,
    failure: Exception,
  ): Exception {
    try {
      // Its answer may be what was lost; it must not run without anybody who knows of it.
      if (!isGone(id)) yarn.kill(id)
      staging.remove(id.toString())
      return failure
    } catch (interrupted: InterruptedException) {
      throw interrupted
    } catch (
      @Suppress("TooGenericExceptionCaught") also: Exception,
    ) {
      failure.addSuppressed(also)
      return RefusedException("${failure.message} YARN may have it all the same; to end it: yarn application -kill $id", failure)
    }
  }

  private fun isGone(id: ApplicationId): Boolean =
    try {
      yarn.report(id).isFinal
    } catch (unknown: ApplicationNotFoundException) {
      true
    }

  private fun user(): String = UserGroupInformation.getCurrentUser().shortUserName

  private inline fun <T> atTheFileSystem(
    what: String,
    hint: String = "Look at the log of the NameNode of $fileSystemName.",
    call: () -> T,
  ): T = asking({ what }, hint, call)

  private fun <T> CoroutineScope.blocking(call: () -> T): Deferred<T> = async(workers) { runInterruptible { call() } }

  private companion object {
    const val PARALLEL_CALLS = 4

    /** Hadoop's own limits leave a server that says nothing much more. */
    const val CHECKS_MILLIS = 45_000L
    val workers = Dispatchers.IO.limitedParallelism(PARALLEL_CALLS)
  }
}

package knit.client

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.ipc.RemoteException
import org.apache.hadoop.yarn.conf.YarnConfiguration
import java.io.IOException
import java.io.PrintStream
import java.lang.reflect.InvocationTargetException
import java.net.ConnectException
import java.net.NoRouteToHostException
import java.net.SocketTimeoutException
import java.net.UnknownHostException
import java.util.Enumeration

/**
 * The configuration on the class path, with limits for a person who waits: Hadoop's own would have a client try an
 * unreachable ResourceManager for a quarter of an hour.
 *
 * Throws [RefusedException] where it names no cluster.
 */
internal fun clientConfiguration(): Configuration =
  YarnConfiguration().apply {
    val fileSystem = getTrimmed(DEFAULT_FILE_SYSTEM, LOCAL_FILE_SYSTEM)
    if (fileSystem.startsWith("file:")) {
      throw RefusedException(
        "The Hadoop configuration on the class path names no cluster ($DEFAULT_FILE_SYSTEM is $fileSystem): " +
          "point HADOOP_CONF_DIR at the directory with the cluster's core-site.xml and yarn-site.xml.",
      )
    }
    // A connection is tried twice, and the ResourceManager for some ten seconds.
    setInt("ipc.client.connect.max.retries", 1)
    setInt("ipc.client.connect.retry.interval", 500)
    setInt("ipc.client.connect.max.retries.on.timeouts", 1)
    setInt("ipc.client.connect.timeout", 10_000)
    setInt("ipc.client.rpc-timeout.ms", 30_000)
    setInt("yarn.resourcemanager.connect.max-wait.ms", 6_000)
    setInt("yarn.resourcemanager.connect.retry-interval.ms", 1_000)
    setInt("yarn.client.failover-sleep-base-ms", 500)
    setInt("yarn.client.failover-sleep-max-ms", 2_000)
    setInt("dfs.client.failover.max.attempts", 5)
    setInt("yarn.client.application-client-protocol.poll-timeout-ms", 60_000)
    // Our Application Master writes no timeline, and its client asks for classes that many clusters lack.
    setBoolean("yarn.timeline-service.enabled", false)
  }

internal const val DEFAULT_FILE_SYSTEM = "fs.defaultFS"
private const val LOCAL_FILE_SYSTEM = "file:///"

/** Runs [call], and turns what Hadoop throws into one sentence: [what] was tried, what came back, and a [hint] what to do. */
internal inline fun <T> asking(
  what: () -> String,
  hint: String,
  call: () -> T,
): T =
  try {
    call()
  } catch (known: ClientException) {
    throw known
  } catch (interrupted: InterruptedException) {
    throw interrupted
  } catch (
    @Suppress("TooGenericExceptionCaught") failure: Exception,
  ) {
    throw RefusedException("${what()}: ${reasonOf(failure)}. ${hintFor(failure) ?: hint}", failure)
  }

/** What lies behind an error, in a few words and without a full stop. */
internal fun reasonOf(error: Throwable): String {
  val chain = causes(error)
  val network = chain.lastOrNull { it is ConnectException || it is NoRouteToHostException || it is SocketTimeoutException }
  val unknown = chain.lastOrNull { it is UnknownHostException }
  val text =
    when {
      // Hadoop wraps these into several lines with a link; the innermost says it.
      unknown != null -> "its host name is not known here"

      network is SocketTimeoutException -> "it does not answer in time"

      network != null -> network.message

      else -> (chain.firstOrNull { it is RemoteException } ?: chain.first { !it.isWrapper() || it.cause == null }).message
    }
  val line =
    text
      ?.trim()
      ?.lineSequence()
      ?.first()
      ?.trimEnd('.', ' ')
  return if (line.isNullOrEmpty()) chain.last().javaClass.simpleName else line
}

/** What to do about errors that have one cause wherever they turn up. */
private fun hintFor(error: Throwable): String? {
  val text = causes(error).joinToString(" ") { it.toString() }
  return when {
    "GSS initiate failed" in text || "Can't get Kerberos" in text || "via:[TOKEN, KERBEROS]" in text -> {
      "The cluster authenticates with Kerberos: run kinit first, and look at klist."
    }

    "getSubject" in text -> {
      "This Java is newer than this Hadoop can use, for Java 24 took away what it needs: point JAVA_HOME at an older one."
    }

    "SafeModeException" in text || "is in safe mode" in text -> {
      "Wait until the NameNode has left its safe mode: hdfs dfsadmin -safemode get."
    }

    else -> {
      null
    }
  }
}

private fun causes(error: Throwable): List<Throwable> =
  generateSequence(error) {
    it.cause.takeIf { cause -> cause !== it }
  }.take(MOST_CAUSES).toList()

private fun Throwable.isWrapper() = this is InvocationTargetException || this is java.lang.reflect.UndeclaredThrowableException

private const val MOST_CAUSES = 20

/** Hadoop's own log, whose form and level are the cluster's configuration. */
internal object HadoopLog {
  /**
   * Keeps it off stdout, and unless [verbose] silent but for errors.
   *
   * By name, for log4j 1 is on the class path of most clusters, and not of all. `hadoop jar` has set it up by now.
   */
  fun tame(
    verbose: Boolean,
    err: PrintStream,
  ) {
    try {
      val manager = Class.forName("org.apache.log4j.LogManager")
      val loggers = listOf(manager.getMethod("getRootLogger").invoke(null)) + elements(manager.getMethod("getCurrentLoggers").invoke(null))
      loggers.flatMap { elements(it.javaClass.getMethod("getAllAppenders").invoke(it)) }.forEach(::moveToStderr)
      if (!verbose) {
        val repository = manager.getMethod("getLoggerRepository").invoke(null)
        repository.javaClass.getMethod("setThreshold", String::class.java).invoke(repository, "ERROR")
      }
    } catch (
      other: ReflectiveOperationException,
    ) {
      if (verbose) err.println("knit: Hadoop's log stays as it is configured ($other)")
    }
  }

  private fun moveToStderr(appender: Any) {
    if (appender.javaClass.name != "org.apache.log4j.ConsoleAppender") return
    if (appender.javaClass.getMethod("getTarget").invoke(appender) != "System.out") return
    appender.javaClass.getMethod("setTarget", String::class.java).invoke(appender, "System.err")
    appender.javaClass.getMethod("activateOptions").invoke(appender)
  }

  private fun elements(enumeration: Any): List<Any> = (enumeration as Enumeration<*>).toList().filterNotNull()
}

/** Whether asking again may bring an answer. */
internal fun isSilence(error: Exception): Boolean = error is IOException && error !is RemoteException

package knit.am.core

/** What the RM is told as the Application Master leaves. */
enum class FinalStatus { SUCCEEDED, FAILED, KILLED }

/** How an application ends. */
data class Outcome(
  val finalStatus: FinalStatus,
  /** For people: what ended it, and which container was the first to fail. */
  val diagnostics: String,
  /** 0 after success; else the exit code of the first container that failed for good, or 1 where that has none. */
  val exitCode: Int,
  /** Whether another attempt is out of the question: a client wanted this end, or every attempt would come to it. */
  val isFinal: Boolean = false,
)

/** The outcome where every container has ended and nobody had decided one before. */
internal fun Application.naturalOutcome(): Outcome {
  standingFailure?.let { return failureOutcome(it) }
  val followed = count(ContainerState.FAILED)
  val diagnostics =
    listOfNotNull(
      "${count(ContainerState.SUCCEEDED)} succeeded",
      count(ContainerState.STOPPED).takeIf { it > 0 }?.let { "$it stopped on request" },
      followed.takeIf { it > 0 }?.let { "$it failed and were followed by another" },
    ).joinToString(", ", "Every container has ended: ", ".")
  return Outcome(FinalStatus.SUCCEEDED, diagnostics, 0)
}

/** The outcome where [decisive] ended the application; the exit code is that of the first to fail, which may be another. */
internal fun Application.failureOutcome(decisive: Failure): Outcome {
  val first = standingFailure ?: decisive
  val diagnostics = if (first.key == decisive.key) first.sentence else "${decisive.sentence} First to fail: ${first.sentence}"
  return Outcome(FinalStatus.FAILED, diagnostics, first.exitCode)
}

/** The outcome a client asked for; what failed before counts unless the client calls it a success. */
internal fun Application.requestedOutcome(request: EndApplication): Outcome {
  val said = shortened(request.diagnostics.trim()).ifEmpty { "Stopped by a client before its end." }
  if (request.finalStatus == FinalStatus.SUCCEEDED) return Outcome(request.finalStatus, said, 0, isFinal = true)
  val failure = standingFailure ?: return Outcome(request.finalStatus, said, 1, isFinal = true)
  return Outcome(request.finalStatus, "$said First to fail: ${failure.sentence}", failure.exitCode, isFinal = true)
}

/**
 * The failure that the application ends with: the first, unless a client had its rank started anew and that has succeeded, which
 * makes it good; then the earliest of those that ranks were left with.
 */
internal val Application.standingFailure: Failure?
  get() {
    val first = header.firstFailure ?: return null
    if (latest(first.key.place)?.state != ContainerState.SUCCEEDED) return first
    return serviceNames
      .asSequence()
      .filter { tally(it).failedRanks > 0 && spec(it).failurePolicy != FailurePolicy.IGNORE }
      .flatMap { name -> slots.getValue(name).asSequence().filter { !it.isRetired && it.latest.state == ContainerState.FAILED } }
      .filter { slot ->
        slot.rank !in
          services
            .getValue(slot.latest.key.place.serviceName)
            .update
            ?.failedRanks
            .orEmpty()
      }.map { it.latest }
      .minWithOrNull(compareBy({ it.exit?.finishTime }, { it.key }))
      ?.failure()
  }

internal fun Container.failure() = Failure(key, failureSentence(), exit?.exitCode?.takeIf { it != 0 } ?: 1)

/** For example: `worker 3 failed: exit code 2 on node2:8041. ValueError: no such table`. */
private fun Container.failureSentence(): String {
  val exit = checkNotNull(exit) { "$key has not ended" }
  val where = lease?.let { " on ${it.nodeId}" }.orEmpty()
  val tries = if (key.attemptNumber > 1) " (attempt ${key.attemptNumber})" else ""
  val detail = lastWords(exit.diagnostics)?.let { " $it" }.orEmpty()
  return "${key.place}$tries failed: ${exit.inWords()}$where.$detail"
}

private fun ContainerExit.inWords(): String =
  when (reason) {
    ExitReason.EXITED -> exitCode?.let(::exitInWords) ?: "exit code unknown"
    ExitReason.STOPPED -> "stopped on request"
    ExitReason.APPLICATION_ENDED -> "stopped at the end of the application"
    ExitReason.PREEMPTED -> "preempted by the scheduler"
    ExitReason.OUT_OF_MEMORY -> "used more memory than it was granted, and was ended by YARN"
    ExitReason.NODE_LOST -> "the node was lost:"
    ExitReason.DISK_FAILED -> "disks failed"
    ExitReason.LOCALIZATION_FAILED -> "one of its files could not be brought to the node,"
    ExitReason.LAUNCH_FAILED -> "could not be launched"
    ExitReason.KILLED_BY_YARN -> "ended by YARN"
    ExitReason.UNHEALTHY -> "was not ready in time, and was stopped"
    ExitReason.SCALED_DOWN -> "stopped, for its service has fewer containers now"
    ExitReason.REPLACED -> "stopped, for one of another revision takes its place"
    ExitReason.RESTARTED -> "stopped, to be started anew"
    ExitReason.MASTER_LOST -> "lost as the Application Master was started anew"
  }

/** How a program ended. Where memory runs out, the kernel can be faster than YARN, and says so to nobody. */
internal fun exitInWords(exitCode: Int): String =
  when (val signal = signalOf(exitCode)) {
    null -> "exit code $exitCode"
    SIGKILL -> "ended by signal $signal (exit code $exitCode), as the kernel does where memory has run out"
    else -> "ended by signal $signal (exit code $exitCode)"
  }

internal const val SIGKILL = 9

internal const val LAST_WORDS_MAX_LENGTH = 300

/** YARN puts a time before its own lines. */
private val yarnTime = Regex("""^\[\d{4}-\d\d-\d\d [^]]*]\s*""")

/** Lines of YARN's that say nothing the exit code does not. */
private val frame = Regex("""Container exited with a non-zero exit code.*|Last \d+ bytes of .*|Exit code: .*|Shell output: .*""")

/** Where YARN's account of a launch begins: the container's name, and what the node's executor wrote. */
private const val LAUNCH_ACCOUNT = "Exception from container-launch."

/** Where it ends, and what the program wrote follows. */
private const val EXIT_ACCOUNT = "Container exited with a non-zero exit code"

/** What the LinuxContainerExecutor writes first, and last before it becomes the program. */
private const val EXECUTOR_BEGINS = "Shell output: main : "
private const val EXECUTOR_LAUNCHES = "Launching container..."

/** The last line of [diagnostics] that tells something: as a rule the last one the program wrote to its stderr. */
internal fun lastWords(diagnostics: String): String? {
  val lines = diagnostics.lines().map { it.trim().replace(yarnTime, "") }
  val begin = lines.indexOf(LAUNCH_ACCOUNT)
  val end = lines.indexOfFirst { it.startsWith(EXIT_ACCOUNT) }
  if (begin !in 0..<end) return telling(lines)
  return telling(lines.take(begin) + lines.drop(end)) ?: executorsWords(lines.subList(begin, end))
}

/**
 * Why the LinuxContainerExecutor could not launch a program; null where it could. From then on it says nothing of use:
 * it takes the program's exit code for one of its own, and an exit with 5 for "Invalid NM root dirs".
 */
private fun executorsWords(account: List<String>): String? =
  account
    .dropWhile { !it.startsWith(EXECUTOR_BEGINS) }
    .takeIf { EXECUTOR_LAUNCHES !in it }
    ?.let(::telling)

private fun telling(lines: List<String>): String? =
  lines
    .lastOrNull { it.isNotBlank() && !frame.matches(it) }
    ?.let { shortened(it, LAST_WORDS_MAX_LENGTH) }

/** A sentence for people as far as it is kept. */
private fun shortened(
  text: String,
  maxLength: Int = MAX_DIAGNOSTICS_LENGTH,
): String = if (text.length <= maxLength) text else text.take(maxLength) + "…"

package knit.client

import knit.am.core.Resource
import java.time.Duration

/** What is to be run, as the command line said it. */
internal class Request(
  val name: String,
  val queue: String,
  val command: String,
  val instances: Int,
  val resource: Resource,
  /** Values may be secret, so this class has no text form. */
  val environment: Map<String, String>,
  val files: List<FileSource>,
  /** A packed Python environment. */
  val pythonEnvironment: FileSource?,
  /** Whether to stay until the end. */
  val wait: Boolean,
  /** Where the Application Master may listen. Null: anywhere. */
  val masterPorts: IntRange?,
  /** After so long a program that is waited for is killed. Null: never. */
  val timeout: Duration?,
) {
  val everyFile: List<FileSource>
    get() = files + listOfNotNull(pythonEnvironment)

  companion object {
    /** The name of the service whose containers run the command. */
    const val SERVICE = "worker"

    /** The directory of the Python environment in a container, as knit 0.1.1 named it. */
    const val PYTHON_DIRECTORY = "PYTHON_DIR"

    /** Of the Application Master's container. */
    val APPLICATION_MASTER = Resource(memoryMib = 512, vcores = 1)
  }
}

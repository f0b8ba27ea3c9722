package knit.am.security

import org.apache.hadoop.io.DataOutputBuffer
import org.apache.hadoop.io.Text
import org.apache.hadoop.io.WritableUtils
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import java.io.DataInputStream
import java.io.File
import java.nio.ByteBuffer

/** What the client put into the submission's credentials, by the name of the secret. */
object Secrets {
  const val APPLICATION = "knit.application"
  const val TLS_AUTHORITY = "knit.tls.ca"
  const val TLS_CERTIFICATE = "knit.tls.cert"
  const val TLS_KEY = "knit.tls.key"

  /** With which containers are let in, together with a token of their own; as PEM, and the key of the tokens' HMAC. */
  const val CONTAINER_CERTIFICATE = "knit.container.cert"
  const val CONTAINER_KEY = "knit.container.key"
  const val TOKEN_KEY = "knit.token.key"

  /** Of the principal that the submission names, with which new tokens are fetched before the old ones end. None where there is none. */
  const val KEYTAB = "knit.keytab"

  /**
   * In a container that was given the RM's token, where a keytab replaces tokens: those to submit another application with, as
   * [Credentials] write them. The others have a renewer whom the RM is not.
   */
  const val SUBMISSION_TOKENS = "knit.submission.tokens"

  /** What a container runs, in the form that its launch command looks for: the only one that each container has too, its own. */
  const val LAUNCH = "knit.launch"

  /** Every secret of ours begins with this, and none that the Application Master was given leaves it. */
  const val PREFIX = "knit."
}

private const val TOKEN_FILE = "HADOOP_TOKEN_FILE_LOCATION"

/** YARN's name for the token by which the Application Master proves itself to the RM. */
private val AM_TOKEN_KIND = Text("YARN_AM_RM_TOKEN")

/** YARN's name for the token by which a client proves itself to the RM, and may submit and kill whatever its user may. */
internal val RM_TOKEN_KIND = Text("RM_DELEGATION_TOKEN")

/** Returns what YARN gave this process, read without Hadoop's machinery for identities, which takes its time to load. */
fun ownCredentials(environment: Map<String, String>): Credentials {
  val file =
    checkNotNull(environment[TOKEN_FILE]) {
      "The environment lacks $TOKEN_FILE: the Application Master is started by YARN, not by hand."
    }
  return DataInputStream(File(file).inputStream().buffered()).use { stream -> Credentials().apply { readTokenStorageStream(stream) } }
}

/** Returns a secret, or throws with a sentence that says which one is missing. */
fun Credentials.secret(name: String): ByteArray =
  checkNotNull(getSecretKey(Text(name))) {
    "The submission's credentials hold no secret '$name'. An application is submitted with the knit SDK of the same version."
  }

/** Returns the application's keys. */
fun Credentials.tls(): Tls = Tls(secret(Secrets.TLS_AUTHORITY), secret(Secrets.TLS_CERTIFICATE), secret(Secrets.TLS_KEY))

/** Returns what containers are let in with. */
fun Credentials.containerKeys(): ContainerKeys =
  ContainerKeys(secret(Secrets.CONTAINER_CERTIFICATE), secret(Secrets.CONTAINER_KEY), secret(Secrets.TOKEN_KEY))

/**
 * Returns what containers are given: the user's delegation tokens, so that a program can read HDFS.
 *
 * Left out are the tokens that would let a container act as the Application Master, or as the user towards YARN, and
 * knit's own secrets.
 */
fun Credentials.forContainers(): Credentials = without(AM_TOKEN_KIND, RM_TOKEN_KIND)

/** Returns what another application of the same user is given, who submits it from a container of this one. */
fun Credentials.forApplications(): Credentials {
  val others = getSecretKey(Text(Secrets.SUBMISSION_TOKENS)) ?: return without(AM_TOKEN_KIND)
  return Credentials().apply { readTokenStorageStream(DataInputStream(others.inputStream())) }.without(AM_TOKEN_KIND)
}

private fun Credentials.without(vararg kinds: Text): Credentials {
  val handedOn = Credentials()
  tokensByAlias().filterValues { it.kind !in kinds }.forEach { (alias, token) -> handedOn.addToken(alias, token) }
  allSecretKeys
    .filterNot { it.toString().startsWith(Secrets.PREFIX) }
    .forEach { handedOn.addSecretKey(it, getSecretKey(it)) }
  return handedOn
}

/**
 * The tokens by the names they were added under: two kinds may be for one service, as the KMS's old and new kind are.
 *
 * `getTokenMap` is not in Hadoop 2, so they are read from what [Credentials] write.
 */
internal fun Credentials.tokensByAlias(): Map<Text, Token<TokenIdentifier>> {
  val written = DataOutputBuffer().also(::write)
  val input = DataInputStream(written.data.inputStream(0, written.length))
  return List(WritableUtils.readVInt(input)) {
    val alias = Text().apply { readFields(input) }
    alias to Token<TokenIdentifier>().apply { readFields(input) }
  }.toMap()
}

/** Returns the form in which YARN carries credentials to a node. */
fun Credentials.serialized(): ByteBuffer {
  val buffer = DataOutputBuffer()
  writeTokenStorageToStream(buffer)
  return ByteBuffer.wrap(buffer.data, 0, buffer.length)
}

internal fun ByteBuffer.bytes(): ByteArray = ByteArray(remaining()).also { duplicate().get(it) }

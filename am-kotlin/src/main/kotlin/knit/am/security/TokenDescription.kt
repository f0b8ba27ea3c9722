package knit.am.security

import org.apache.hadoop.io.Text
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.apache.hadoop.security.token.delegation.AbstractDelegationTokenIdentifier
import org.slf4j.LoggerFactory
import java.io.IOException
import java.time.Instant
import java.util.ServiceConfigurationError

/** What is known of a delegation token; nothing that proves it. */
internal data class TokenDescription(
  val kind: String,
  /** `host:port`, several with commas in between, or `ha-hdfs:nameservice`. */
  val service: String,
  /** Null where its form is not known. */
  val issueTime: Instant?,
  /** When it ends, however often it is renewed; null where that is not known. */
  val maxTime: Instant?,
  /** Their short name; empty: nobody. */
  val renewer: String,
  val isReplaced: Boolean,
  /** When it ends unless it is renewed before; null where that is not known. */
  val expireTime: Instant? = null,
)

/** The kinds that a keytab brings anew: of HDFS, of key servers by their older and newer name, and of the RM. */
internal val fetchedKinds = setOf(Text("HDFS_DELEGATION_TOKEN"), Text("kms-dt"), Text("KMS_DELEGATION_TOKEN"), RM_TOKEN_KIND)

internal fun Token<out TokenIdentifier>.describe(
  isReplaced: Boolean,
  expireTime: Instant? = null,
): TokenDescription {
  val identifier = delegation()
  return TokenDescription(
    kind = kind.toString(),
    service = service.toString(),
    issueTime = identifier?.issueDate?.toInstant(),
    maxTime = identifier?.maxDate?.toInstant(),
    renewer = identifier?.renewer?.toString().orEmpty(),
    isReplaced = isReplaced,
    expireTime = expireTime,
  )
}

/** Its identifier in the form that most services share; null where it has another, or one that no class here reads. */
internal fun Token<out TokenIdentifier>.delegation(): AbstractDelegationTokenIdentifier? =
  try {
    decodeIdentifier() as? AbstractDelegationTokenIdentifier
  } catch (unreadable: IOException) {
    unreadable(unreadable)
  } catch (unreadable: RuntimeException) {
    unreadable(unreadable)
  } catch (unreadable: ServiceConfigurationError) {
    unreadable(unreadable)
  }

private fun Token<out TokenIdentifier>.unreadable(why: Throwable): AbstractDelegationTokenIdentifier? {
  LoggerFactory.getLogger(TokenDescription::class.java).debug("The identifier of a token of kind {} cannot be read", kind, why)
  return null
}

/** What was not said is 0. */
internal fun Long.toInstant(): Instant? = if (this > 0) Instant.ofEpochMilli(this) else null

package knit.am.security

import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.DataInputStream

class CredentialsTest {
  private fun token(
    kind: String,
    service: String,
  ) = Token<TokenIdentifier>(byteArrayOf(1), byteArrayOf(2), Text(kind), Text(service))

  @Test
  fun containersGetTheUsersTokensAndNeitherTheMastersNorKnitsSecrets() {
    val own =
      Credentials().apply {
        addToken(Text("am"), token("YARN_AM_RM_TOKEN", "rm:8030"))
        addToken(Text("hdfs"), token("HDFS_DELEGATION_TOKEN", "nn:8020"))
        // Two kinds for one service, as of the KMS: the older kind under its address, the newer under its URL.
        addToken(Text("kms:9600"), token("kms-dt", "kms:9600"))
        addToken(Text("kms://http@kms:9600/kms"), token("KMS_DELEGATION_TOKEN", "kms:9600"))
        addSecretKey(Text(Secrets.APPLICATION), byteArrayOf(1))
        addSecretKey(Text(Secrets.TLS_KEY), byteArrayOf(2))
        addSecretKey(Text(Secrets.LAUNCH), byteArrayOf(4))
        addSecretKey(Text("users.own"), byteArrayOf(3))
      }
    val bytes = own.forContainers().serialized()
    val read = Credentials()
    read.readTokenStorageStream(DataInputStream(bytes.array().inputStream(bytes.position(), bytes.remaining())))
    val names = mapOf("hdfs" to "HDFS_DELEGATION_TOKEN", "kms:9600" to "kms-dt", "kms://http@kms:9600/kms" to "KMS_DELEGATION_TOKEN")
    assertEquals(names.values.toSet(), read.allTokens.map { it.kind.toString() }.toSet())
    assertEquals(names, names.mapValues { read.getToken(Text(it.key)).kind.toString() })
    assertEquals(listOf("users.own"), read.allSecretKeys.map { it.toString() })
    assertNull(read.getSecretKey(Text(Secrets.TLS_KEY)))
  }

  @Test
  fun aMissingSecretIsNamed() {
    val missing = assertThrows(IllegalStateException::class.java) { Credentials().tls() }
    assertTrue(Secrets.TLS_AUTHORITY in missing.message.orEmpty())
  }
}

package knit.am.security

import org.apache.hadoop.hdfs.security.token.delegation.DelegationTokenIdentifier
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.Credentials
import org.apache.hadoop.security.token.Token
import org.apache.hadoop.security.token.TokenIdentifier
import org.apache.hadoop.yarn.security.client.RMDelegationTokenIdentifier
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.time.Instant

class HeldTokensTest {
  private val identifier =
    DelegationTokenIdentifier(Text("ann"), Text("rm"), Text("")).apply {
      issueDate = 1_000
      maxDate = 9_000
    }

  private fun token(
    kind: String,
    service: String,
    password: String = "secret",
    identifier: ByteArray = byteArrayOf(1),
  ) = Token<TokenIdentifier>(identifier, password.toByteArray(), Text(kind), Text(service))

  private val own =
    Credentials().apply {
      addToken(Text("am"), token("YARN_AM_RM_TOKEN", "rm:8030"))
      addToken(Text("of the client"), token(HDFS, "ha-hdfs:ns", identifier = identifier.bytes))
      addToken(Text("rm"), token(RM, "rm:8032", identifier = RMDelegationTokenIdentifier(Text("ann"), Text("rm"), Text("")).bytes))
      addToken(Text("other"), token("OTHER", "other:1"))
      addSecretKey(Text(Secrets.KEYTAB), "keytab".toByteArray())
    }

  private fun Credentials.passwords() = tokensByAlias().map { (alias, token) -> alias.toString() to String(token.password) }.toMap()

  @Test
  fun theRmsTokenReachesOnlyWhoAsksForIt() {
    val held = HeldTokens(own)
    assertEquals(setOf("of the client", "other"), held.forPrograms(withRmToken = false).passwords().keys)
    val asking = held.forPrograms(withRmToken = true)
    assertEquals(setOf("of the client", "other", "rm"), asking.passwords().keys)
    assertEquals(emptyList<Text>(), asking.allSecretKeys)
    assertTrue(held.hasRmToken)
    assertFalse(HeldTokens(Credentials()).hasRmToken)
  }

  @Test
  fun newOnesTakeThePlaceOfThoseForTheSameServiceWhateverTheirNames() {
    val held = HeldTokens(own)
    val before = held.forPrograms(withRmToken = true)
    val named = held.replace(Credentials().apply { addToken(Text("ha-hdfs:ns"), token(HDFS, "ha-hdfs:ns", "new")) })
    val expected = mapOf("of the client" to "new", "ha-hdfs:ns" to "new")
    assertEquals(expected, named.passwords())
    assertEquals(expected + mapOf("other" to "secret", "rm" to "secret"), held.forPrograms(withRmToken = true).passwords())
    assertEquals("secret", before.passwords()["of the client"], "what was handed out is not changed")
  }

  @Test
  fun whatIsKnownOfEachIsToldAndNothingThatProvesIt() {
    val told = HeldTokens(own).described()
    val hdfs = TokenDescription(HDFS, "ha-hdfs:ns", Instant.ofEpochMilli(1_000), Instant.ofEpochMilli(9_000), "rm", isReplaced = false)
    assertEquals(hdfs, told.first())
    assertEquals(listOf(HDFS, "OTHER", RM), told.map { it.kind }, "the Application Master's own is none of the user's")
    assertEquals(TokenDescription("OTHER", "other:1", null, null, "", isReplaced = false), told[1])
  }

  @Test
  fun withAKeytabItIsToldWhichAreReplaced() {
    val held = HeldTokens(own, isReplacing = true)
    assertEquals(mapOf(HDFS to true, "OTHER" to false, RM to true), held.described().associate { it.kind to it.isReplaced })
    held.replace(Credentials().apply { addToken(Text("ha-hdfs:ns"), token(HDFS, "ha-hdfs:ns", "new")) })
    assertEquals(
      mapOf(HDFS to true, "OTHER" to false, RM to false),
      held.described().associate { it.kind to it.isReplaced },
      "the ResourceManager's was not to be had",
    )
  }

  @Test
  fun whoSubmitsIsGivenOthersForThatWhereThisApplicationRenewsItsOwn() {
    val held = HeldTokens(own, isReplacing = true)
    held.replace(Credentials().apply { addToken(Text("ha-hdfs:ns"), token(HDFS, "ha-hdfs:ns", "renewed by ourselves")) })
    assertEquals(emptyList<Text>(), held.forPrograms(withRmToken = false).allSecretKeys)
    val first = held.forPrograms(withRmToken = true)
    assertEquals("renewed by ourselves", first.passwords()["ha-hdfs:ns"], "what looks for a token finds the one that lives longer")
    val submitted = first.forApplications().passwords()
    assertEquals(mapOf("of the client" to "secret", "other" to "secret", "rm" to "secret"), submitted, "the RM renews them")
    val end = Instant.ofEpochMilli(5_000)
    held.replaceForSubmissions(
      Credentials().apply { addToken(Text("ha-hdfs:ns"), token(HDFS, "ha-hdfs:ns", "new", identifier.bytes)) },
      end,
    )
    val later = held.forPrograms(withRmToken = true)
    assertEquals("renewed by ourselves", later.passwords()["ha-hdfs:ns"])
    assertEquals(
      mapOf("of the client" to "new", "ha-hdfs:ns" to "new"),
      later.forApplications().passwords().filterKeys {
        "ns" in it ||
          "cl" in it
      },
    )
    assertEquals("secret", first.forApplications().passwords()["of the client"], "what was handed out is not changed")
    val hdfs = held.described().filter { it.kind == HDFS }
    assertEquals(listOf("" to null, "rm" to end), hdfs.map { it.renewer to it.expireTime })
    assertTrue(hdfs.all { it.isReplaced })
  }

  @Test
  fun thoseToSubmitWithAreToldOnlyOnceSomebodyHasThem() {
    val held = HeldTokens(own, isReplacing = true)
    held.replaceForSubmissions(Credentials().apply { addToken(Text("ha-hdfs:ns"), token(HDFS, "ha-hdfs:ns", "new")) }, null)
    assertEquals(1, held.described().count { it.kind == HDFS })
    held.forPrograms(withRmToken = false)
    assertEquals(1, held.described().count { it.kind == HDFS })
    held.forPrograms(withRmToken = true)
    assertEquals(2, held.described().count { it.kind == HDFS })
  }

  @Test
  fun programsSubmitWithWhatCameWithTheSubmissionForThreeQuartersOfWhatIsLeft() {
    fun of(
      maxDate: Long,
      renewer: String = "rm",
    ) = HeldTokens(
      Credentials().apply {
        val identifier = DelegationTokenIdentifier(Text("ann"), Text(renewer), Text("")).also { it.maxDate = maxDate }
        addToken(Text("a"), token(HDFS, "ha-hdfs:ns", identifier = identifier.bytes))
      },
    ).lastsForSubmissions(Instant.ofEpochMilli(1_000))
    assertEquals(Instant.ofEpochMilli(7_000), of(9_000))
    assertEquals(Instant.ofEpochMilli(1_000), of(500), "they have ended")
    assertEquals(Instant.ofEpochMilli(1_000), of(9_000, renewer = ""), "nobody renews them")
    assertEquals(Instant.ofEpochMilli(1_000), HeldTokens(Credentials()).lastsForSubmissions(Instant.ofEpochMilli(1_000)))
    val withOthers =
      Credentials().apply {
        addToken(Text("other"), token("OTHER", "other:1"))
        addToken(Text("of the client"), token(HDFS, "ha-hdfs:ns", identifier = identifier.bytes))
      }
    assertEquals(Instant.ofEpochMilli(7_000), HeldTokens(withOthers).lastsForSubmissions(Instant.ofEpochMilli(1_000)), "others stay")
  }

  @Test
  fun ofVeryManyOnlySoManyAreTold() {
    val many = Credentials().apply { repeat(HeldTokens.MAX_TOLD + 1) { addToken(Text("$it"), token("OTHER", "other:$it")) } }
    assertEquals(HeldTokens.MAX_TOLD, HeldTokens(many).described().size)
  }

  @Test
  fun whatWasReplacedBeforeStaysReplacedAndEachHasItsEnd() {
    val held = HeldTokens(own, isReplacing = true)
    held.forPrograms(withRmToken = true)
    val first = Instant.ofEpochMilli(4_000)
    val second = Instant.ofEpochMilli(5_000)
    for ((service, end) in listOf("ha-hdfs:ns" to first, "ha-hdfs:other" to second)) {
      held.replace(Credentials().apply { addToken(Text(service), token(HDFS, service, "ours")) })
      held.replaceForSubmissions(Credentials().apply { addToken(Text(service), token(HDFS, service, "to hand on", byteArrayOf(2))) }, end)
    }
    val hdfs = held.described().filter { it.kind == HDFS }
    assertTrue(hdfs.all { it.isReplaced }, "$hdfs")
    assertEquals(setOf(first, second), hdfs.mapNotNull { it.expireTime }.toSet())
  }

  @Test
  fun whatGoesBySeveralNamesIsToldOnceAndSoIsWhatIsHandedOnAsItIs() {
    val held = HeldTokens(own, isReplacing = true)
    held.forPrograms(withRmToken = true)
    assertEquals(3, held.described().size)
    held.replace(Credentials().apply { addToken(Text("ha-hdfs:ns"), token(HDFS, "ha-hdfs:ns", "new", identifier.bytes)) })
    assertEquals(1, HeldTokens(held.forPrograms(withRmToken = false)).described().count { it.kind == HDFS })
  }

  private companion object {
    const val HDFS = "HDFS_DELEGATION_TOKEN"
    const val RM = "RM_DELEGATION_TOKEN"
  }
}

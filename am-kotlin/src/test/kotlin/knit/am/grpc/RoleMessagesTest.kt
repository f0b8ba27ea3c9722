package knit.am.grpc

import com.google.protobuf.ByteString
import knit.am.core.Role
import knit.am.security.MAX_CLIENT_GRANTS
import knit.v1.ApplicationSpec
import knit.v1.ClientGrant
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import knit.v1.Role as RoleMessage

class RoleMessagesTest {
  private fun grant(
    number: Int,
    role: RoleMessage = RoleMessage.ROLE_VIEWER,
    bytes: Int = 32,
  ): ClientGrant =
    ClientGrant
      .newBuilder()
      .setCertificateSha256(ByteString.copyFrom(ByteArray(bytes) { (number + it).toByte() }))
      .setRole(role)
      .build()

  private fun spec(vararg grants: ClientGrant): ApplicationSpec = ApplicationSpec.newBuilder().addAllClientGrants(grants.toList()).build()

  @Test
  fun furtherClientsAreTakenOverAndGivenBack() {
    val grants = arrayOf(grant(1), grant(2, RoleMessage.ROLE_OWNER), grant(200, RoleMessage.ROLE_OPERATOR))
    val submission = spec(*grants).toDomain()
    assertNull(submission.problem)
    assertEquals(listOf(Role.VIEWER, Role.OWNER, Role.OPERATOR), submission.clientGrants.map { it.role })
    assertEquals(grants.toList(), SubmissionDocument(spec(*grants)).withoutValues.clientGrantsList)
    assertNull(spec(*Array(MAX_CLIENT_GRANTS) { grant(it) }).toDomain().problem)
  }

  @Test
  fun whatIsWrongWithThemIsSaidAndNothingIsRun() {
    val table =
      mapOf(
        spec(grant(1), grant(2, bytes = 31)) to "client_grants[1]: certificate_sha256 has 31 bytes; it must have 32",
        spec(grant(1, RoleMessage.ROLE_UNSPECIFIED)) to "client_grants[0]: role is 0, which is none",
        spec(grant(1).toBuilder().setRoleValue(99).build()) to "client_grants[0]: role is 99, which is none",
        spec(grant(1, RoleMessage.ROLE_CONTAINER)) to "client_grants[0]: role is container; containers are known by their tokens",
        spec(grant(1), grant(1, RoleMessage.ROLE_OWNER)) to "client_grants names a certificate twice",
        spec(*Array(MAX_CLIENT_GRANTS + 1) { grant(it) }) to "client_grants has 101 entries; 100 are the most",
      )
    for ((spec, said) in table) {
      val submission = spec.toDomain()
      assertTrue(said in submission.problem.orEmpty(), submission.problem)
      assertEquals(emptyList<Any>(), submission.clientGrants)
    }
  }
}

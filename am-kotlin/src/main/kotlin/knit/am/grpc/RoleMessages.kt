package knit.am.grpc

import knit.am.core.Role
import knit.am.security.ClientGrant
import knit.am.security.Fingerprint
import knit.am.security.MAX_CLIENT_GRANTS
import knit.v1.ApplicationSpec
import knit.v1.ClientGrant as ClientGrantMessage
import knit.v1.Role as RoleMessage

// Who may what, as messages and as our own types.

internal fun Role.toMessage(): RoleMessage =
  when (this) {
    Role.OWNER -> RoleMessage.ROLE_OWNER
    Role.OPERATOR -> RoleMessage.ROLE_OPERATOR
    Role.VIEWER -> RoleMessage.ROLE_VIEWER
    Role.CONTAINER -> RoleMessage.ROLE_CONTAINER
  }

private fun RoleMessage.toDomain(): Role? =
  when (this) {
    RoleMessage.ROLE_OWNER -> Role.OWNER
    RoleMessage.ROLE_OPERATOR -> Role.OPERATOR
    RoleMessage.ROLE_VIEWER -> Role.VIEWER
    RoleMessage.ROLE_CONTAINER -> Role.CONTAINER
    RoleMessage.ROLE_UNSPECIFIED, RoleMessage.UNRECOGNIZED -> null
  }

/** Of a message in which [problemInGrants] finds nothing. */
internal fun ClientGrantMessage.toDomain() = ClientGrant(Fingerprint.of(certificateSha256.toByteArray()), checkNotNull(role.toDomain()))

/** What is wrong with the further clients of a submission, as a part of a sentence; null if nothing is. */
internal fun ApplicationSpec.problemInGrants(): String? {
  if (clientGrantsCount > MAX_CLIENT_GRANTS) return "client_grants has $clientGrantsCount entries; $MAX_CLIENT_GRANTS are the most"
  if (clientGrantsList.map { it.certificateSha256 }.distinct().size < clientGrantsCount) return "client_grants names a certificate twice"
  return clientGrantsList.withIndex().firstNotNullOfOrNull { (number, grant) -> grant.problem()?.let { "client_grants[$number]: $it" } }
}

private fun ClientGrantMessage.problem(): String? {
  val size = certificateSha256.size()
  return when {
    unknownFields.asMap().isNotEmpty() -> "it has a field which this Application Master does not know"
    size != Fingerprint.BYTES -> "certificate_sha256 has $size bytes; it must have ${Fingerprint.BYTES}"
    role.toDomain() == null -> "role is $roleValue, which is none that this Application Master knows"
    role.toDomain() == Role.CONTAINER -> "role is container; containers are known by their tokens"
    else -> null
  }
}

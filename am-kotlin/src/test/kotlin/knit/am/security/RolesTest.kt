package knit.am.security

import io.grpc.health.v1.HealthGrpc
import knit.am.core.AmException
import knit.am.core.Caller
import knit.am.core.ContainerRef
import knit.am.core.Reason
import knit.am.core.Role
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import io.grpc.reflection.v1.ServerReflectionGrpc as Reflection
import io.grpc.reflection.v1alpha.ServerReflectionGrpc as OldReflection

/** The table of who may what, held against the contract and against what people read of it. */
class RolesTest {
  private val repository = generateSequence(File("").absoluteFile) { it.parentFile }.first { File(it, "proto/knit/v1").isDirectory }

  private val ofTheContract: Set<String> =
    File(repository, "proto/knit/v1")
      .walk()
      .filter { it.extension == "proto" }
      .flatMap { file ->
        val service = Regex("""^service (\w+)""", RegexOption.MULTILINE).find(file.readText())?.groupValues?.get(1)
        Regex("""^ +rpc (\w+)\(""", RegexOption.MULTILINE).findAll(file.readText()).map { "knit.v1.$service/${it.groupValues[1]}" }
      }.toSet()

  private val ofOthers: Set<String> =
    listOf(HealthGrpc.getServiceDescriptor(), Reflection.getServiceDescriptor(), OldReflection.getServiceDescriptor())
      .flatMap { service -> service.methods.map { it.fullMethodName } }
      .toSet()

  @Test
  fun everyCallThatThereIsHasALineAndNoOther() {
    assertTrue(ofTheContract.size > 20, "$ofTheContract")
    assertEquals(ofTheContract + ofOthers, Roles.allowed.keys)
  }

  @Test
  fun theTableForPeopleSaysTheSame() {
    val row = Regex("""^\| `([\w.]+/\w+)` \|(.*)\|$""", RegexOption.MULTILINE)
    val marks = row.findAll(File(repository, "docs/contract.md").readText()).associate { it.groupValues[1] to it.groupValues[2] }
    val said = marks.mapValues { (_, cells) -> Role.entries.filterIndexed { column, _ -> cells.split('|')[column].isNotBlank() }.toSet() }
    assertEquals(Roles.allowed.mapKeys { it.key.removePrefix("knit.v1.") }, said)
  }

  @Test
  fun ownersMayEverythingAndNobodyMayWhatHasNoLine() {
    for (method in Roles.allowed.keys) Roles.refuseUnless(Caller(Role.OWNER), method)
    for (role in Role.entries) {
      val refused = assertThrows(AmException.PermissionDenied::class.java) { Roles.refuseUnless(Caller(role), "knit.v1.NewService/DoIt") }
      assertEquals(Reason.PERMISSION_DENIED, refused.reason)
    }
  }

  @Test
  fun aRefusalSaysWhichRoleIsNeededAndHowToGetIt() {
    val method = "knit.v1.ApplicationService/ScaleService"
    val viewer = assertThrows(AmException.PermissionDenied::class.java) { Roles.refuseUnless(Caller(Role.VIEWER), method) }
    assertTrue("ScaleService needs the role operator or owner, and these credentials are a viewer's" in viewer.message.orEmpty())
    assertTrue("knit credentials APPLICATION --role" in viewer.message.orEmpty(), viewer.message)
    assertEquals(mapOf("method" to method, "role" to "viewer", "needed" to "owner,operator"), viewer.facts)
    val caller = Caller(Role.CONTAINER, ContainerRef("worker", 3))
    val container = assertThrows(AmException.PermissionDenied::class.java) { Roles.refuseUnless(caller, method) }
    assertTrue("this is container worker #3" in container.message.orEmpty(), container.message)
    assertTrue("access operator or owner" in container.message.orEmpty(), container.message)
  }
}

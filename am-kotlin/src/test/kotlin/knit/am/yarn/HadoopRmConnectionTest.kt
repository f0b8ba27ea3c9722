package knit.am.yarn

import org.apache.hadoop.io.Text
import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.yarn.conf.YarnConfiguration
import org.apache.hadoop.yarn.security.AMRMTokenIdentifier
import org.apache.hadoop.yarn.security.client.RMDelegationTokenIdentifier
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.security.PrivilegedExceptionAction
import org.apache.hadoop.security.token.Token as SecurityToken
import org.apache.hadoop.yarn.api.records.Token as YarnToken

class HadoopRmConnectionTest {
  private val address = "127.0.0.1:8030"
  private val configuration = YarnConfiguration().apply { set(YarnConfiguration.RM_SCHEDULER_ADDRESS, address) }

  private fun token(password: String) =
    YarnToken.newInstance(ByteArray(0), AMRMTokenIdentifier.KIND_NAME.toString(), password.toByteArray(), "rm")

  /** The RM makes a new key now and then, and soon takes the old one no more. */
  @Test
  fun aTokenThatIsRenewedTakesThePlaceOfTheOneBeforeAndIsFoundByTheResourceManagersAddress() {
    val user = UserGroupInformation.createRemoteUser("ann")
    user.doAs(
      PrivilegedExceptionAction {
        val connection = HadoopRmConnection(configuration)
        connection.useToken(token("first"))
        connection.useToken(token("second"))
      },
    )
    assertEquals(listOf("second" to address), user.tokens.map { String(it.password) to it.service.toString() })
  }

  /** One token is for all of a pair: whichever is active takes it. */
  @Test
  fun ofAPairOfResourceManagersATokenThatIsRenewedIsForBoth() {
    val pair =
      YarnConfiguration().apply {
        setBoolean("yarn.resourcemanager.ha.enabled", true)
        set("yarn.resourcemanager.ha.rm-ids", "rm1,rm2")
        set("yarn.resourcemanager.cluster-id", "both")
        for ((id, port) in listOf("rm1" to 8030, "rm2" to 18030)) {
          set("yarn.resourcemanager.scheduler.address.$id", "127.0.0.1:$port")
          set("yarn.resourcemanager.hostname.$id", "127.0.0.1")
        }
      }
    val user = UserGroupInformation.createRemoteUser("ann")
    user.doAs(PrivilegedExceptionAction { HadoopRmConnection(pair).run { repeat(2) { useToken(token("token $it")) } } })
    val held = user.tokens.map { String(it.password) to it.service.toString() }
    assertEquals(listOf("token 1" to "127.0.0.1:8030,127.0.0.1:18030"), held)
  }

  @Test
  fun withKerberosOnlyATokenOfItsClientsLetsTheRmBeAsked() {
    assertTrue(HadoopRmConnection(configuration).isClient, "nothing is asked of who asks")
    val user = UserGroupInformation.createRemoteUser("ann")
    val connection = HadoopRmConnection(configuration) { true }
    assertFalse(user.doAs(PrivilegedExceptionAction { connection.isClient }))
    val kind = RMDelegationTokenIdentifier.KIND_NAME
    user.addToken(SecurityToken<RMDelegationTokenIdentifier>(ByteArray(0), ByteArray(0), kind, Text(address)))
    assertTrue(user.doAs(PrivilegedExceptionAction { connection.isClient }))
  }

  @Test
  fun nodesHavePortsInTheirNamesOnlyWhereTheSchedulerIsToldSo() {
    assertFalse(HadoopRmConnection(configuration).namesHavePorts)
    configuration.setBoolean("yarn.scheduler.include-port-in-node-name", true)
    assertTrue(HadoopRmConnection(configuration).namesHavePorts)
  }
}

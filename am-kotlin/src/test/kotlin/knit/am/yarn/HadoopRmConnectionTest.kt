package knit.am.yarn

import org.apache.hadoop.security.UserGroupInformation
import org.apache.hadoop.yarn.conf.YarnConfiguration
import org.apache.hadoop.yarn.security.AMRMTokenIdentifier
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.security.PrivilegedExceptionAction
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

  @Test
  fun nodesHavePortsInTheirNamesOnlyWhereTheSchedulerIsToldSo() {
    assertFalse(HadoopRmConnection(configuration).namesHavePorts)
    configuration.setBoolean("yarn.scheduler.include-port-in-node-name", true)
    assertTrue(HadoopRmConnection(configuration).namesHavePorts)
  }
}

package knit.am.sim

import knit.am.core.Application
import knit.am.core.Decision
import knit.am.core.KeyChanged
import knit.am.core.LeaseChanged
import knit.am.core.isAlive
import knit.am.core.kv.Bytes
import knit.am.core.kv.KeyValue
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import java.util.TreeMap

/** What must hold of the store: it is what its events say, and no key outlives its owner or its lease by a turn. */
internal class KeyRules {
  private val keys = TreeMap<Bytes, KeyValue>()
  private val leases = HashSet<Long>()

  fun turn(decision: Decision<*>) {
    val application = decision.application
    for (change in decision.changes?.changes.orEmpty()) {
      if (change is LeaseChanged) {
        if (change.lease == null) {
          leases -= change.id
        } else {
          leases += change.id
        }
      }
      if (change !is KeyChanged) continue
      assertEquals(keys[change.key], change.previous, "what is said to have been at ${change.key}")
      val current = change.current
      if (current == null) keys -= change.key else keys[change.key] = current
      assertEquals(decision.changes?.sequence ?: 0, current?.modifyRevision ?: decision.changes?.sequence, "the revision of ${change.key}")
    }
    if (decision.changes == null) return
    assertEquals(leases, application.keyLeases.keys, "leases")
    for (keyValue in keys.values) {
      keyValue.owner?.let { owner ->
        assertTrue(application.container(owner)?.isAlive == true, "$keyValue is there without its owner: ${application.container(owner)}")
      }
      assertTrue(keyValue.leaseId == 0L || keyValue.leaseId in leases, "$keyValue is there without its lease")
    }
  }

  fun check(application: Application) {
    assertEquals(keys.values.toList(), application.keyValues.list().toList(), "the store, by its events")
  }
}

package knit.am.core.kv

import knit.am.core.AmException
import knit.am.core.Caller
import knit.am.core.Change
import knit.am.core.ContainerRef
import knit.am.core.Due
import knit.am.core.GrantLease
import knit.am.core.Index
import knit.am.core.KeepLease
import knit.am.core.KeyChanged
import knit.am.core.LeaseKept
import knit.am.core.NOW
import knit.am.core.Reason
import knit.am.core.RevokeLease
import knit.am.core.Role
import knit.am.core.after
import knit.am.core.assertLike
import knit.am.core.assertToldOf
import knit.am.core.decide
import knit.am.core.granted
import knit.am.core.keeping
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.time.Duration

class KeyLeasesTest {
  private val application =
    registered("worker" to service(instances = 2))
      .after(granted(1), started(1), granted(2), started(2))
      .decide(Due, NOW.plusSeconds(1))
      .application
  private val leasing = application.decide(granting(30), NOW)
  private val lease = leasing.answer.id
  private val leased = leasing.application.after(committing(put("a", "1", leaseId = lease), put("b", "2", leaseId = lease), put("c", "3")))

  private fun granting(seconds: Long) = GrantLease(Duration.ofSeconds(seconds), OPERATOR)

  @Test
  fun aLeaseHasANumberOfItsOwnThatIsNeverZero() {
    val second = leasing.application.decide(granting(5), NOW).answer
    assertTrue(lease > 0 && second.id > 0)
    assertNotEquals(lease, second.id)
    assertEquals(NOW.plusSeconds(5), second.expiryTime)
    assertEquals(NOW.plusSeconds(30), leasing.application.nextDeadline)
  }

  @Test
  fun whatIsNotKeptGoesInOneTurnWithItsKeys() {
    assertEquals(listOf("a", "b", "c"), leased.keys())
    assertSame(leased, leased.decide(Due, NOW.plusSeconds(29)).application)
    val expired = leased.decide(Due, NOW.plusSeconds(30))
    assertEquals(listOf("c"), expired.application.keys())
    assertEquals(leased.sequence + 1, expired.application.sequence)
    val gone =
      expired.changes
        ?.changes
        .orEmpty()
        .filterIsInstance<KeyChanged>()
    assertEquals(listOf("'a'" to "1", "'b'" to "2"), gone.map { "${it.key}" to String(checkNotNull(it.previous).value.shared) })
    assertTrue(gone.all { it.current == null })
    assertNull(expired.application.nextDeadline)
  }

  @Test
  fun whatIsKeptLivesOnFromThen() {
    val kept = leased.decide(KeepLease(lease, OPERATOR), NOW.plusSeconds(20))
    assertEquals(NOW.plusSeconds(50), kept.answer.expiryTime)
    val alive = kept.application.decide(Due, NOW.plusSeconds(49)).application
    assertEquals(listOf("a", "b", "c"), alive.keys())
    val ended = alive.decide(Due, NOW.plusSeconds(50)).application
    assertEquals(listOf("c"), ended.keys())
    val refused = assertThrows<AmException.NotFound> { ended.decide(KeepLease(lease, OPERATOR), NOW.plusSeconds(51)) }
    assertEquals(Reason.NO_SUCH_LEASE, refused.reason)
  }

  /** As many as there may be containers, each of which keeps one: nobody who watches is pushed aside. */
  @Test
  fun toKeepLeasesIsNothingThatWatchersAreTold() {
    val many = (1..1_000).fold(leased) { all, _ -> all.decide(granting(30), NOW).application }
    assertEquals(1_001, many.keyLeases.size)
    var now = NOW
    var kept = many
    repeat(3) {
      now = now.plusSeconds(20)
      for (id in many.keyLeases.keys) {
        val decision = kept.decide(KeepLease(id, OPERATOR), now)
        assertNull(decision.changes)
        assertEquals(listOf<Change>(LeaseKept(decision.answer)), decision.untold)
        kept = decision.application
      }
      assertEquals(many.sequence, kept.sequence)
    }
    assertTrue(kept.keyLeases.values.all { it.expiryTime == now.plusSeconds(30) })
    assertEquals(now.plusSeconds(30), kept.nextDeadline)
    assertEquals(Index.of(kept), kept.index)
    many.assertToldOf(kept)
    kept.keeping(kept.retention).assertLike(kept)
    // The next turn has the next number.
    assertEquals(many.sequence + 1, kept.decide(RevokeLease(lease, OPERATOR), now).application.sequence)
    assertEquals(
      0,
      kept
        .decide(Due, now.plusSeconds(30))
        .application.keyLeases.size,
    )
  }

  @Test
  fun aKeyCanLeaveItsLease() {
    val left = leased.after(committing(put("a", leaseId = 0))).decide(Due, NOW.plusSeconds(30)).application
    assertEquals(listOf("a", "c"), left.keys())
    assertEquals("1", left.value("a"))
  }

  @Test
  fun whatIsRevokedGoesAtOnceAndAgainIsSafe() {
    val revoked = leased.decide(RevokeLease(lease, OPERATOR), NOW)
    assertEquals(listOf("'a'", "'b'"), revoked.answer.map { "$it" })
    assertEquals(listOf("c"), revoked.application.keys())
    assertNull(revoked.application.nextDeadline)
    val again = revoked.application.decide(RevokeLease(lease, OPERATOR), NOW)
    assertEquals(emptyList<Bytes>(), again.answer)
    assertSame(revoked.application, again.application)
  }

  @Test
  fun aContainerEndsNoLeaseThatHoldsAnothersKeys() {
    val owned = leased.after(committing(put("a", ownership = ownedBy("worker", 0))))
    assertThrows<AmException.PermissionDenied> { owned.decide(RevokeLease(lease, Caller(Role.CONTAINER, ContainerRef("worker", 1))), NOW) }
    val own = owned.decide(RevokeLease(lease, Caller(Role.CONTAINER, ContainerRef("worker", 0))), NOW)
    assertEquals(listOf("c"), own.application.keys())
    for (command in listOf(granting(5), KeepLease(lease, OPERATOR), RevokeLease(lease, OPERATOR))) {
      val viewing =
        when (command) {
          is GrantLease -> command.copy(caller = Caller(Role.VIEWER))
          is KeepLease -> command.copy(caller = Caller(Role.VIEWER))
          else -> RevokeLease(lease, Caller(Role.VIEWER))
        }
      assertThrows<AmException.PermissionDenied>("$command") { owned.decide(viewing, NOW) }
    }
  }

  @Test
  fun timesToLiveAndHowManyThereAreHaveBounds() {
    for (time in listOf(Duration.ZERO, Duration.ofMillis(999), Duration.ofDays(1).plusNanos(1), Duration.ofSeconds(-1))) {
      assertThrows<AmException.InvalidArgument>("$time") { application.decide(GrantLease(time, OPERATOR), NOW) }
    }
    application.decide(GrantLease(Duration.ofSeconds(1), OPERATOR), NOW)
    application.decide(GrantLease(Duration.ofDays(1), OPERATOR), NOW)
    val most = (1..MAX_LEASES).fold(application) { all, _ -> all.after(granting(30)) }
    val refused = assertThrows<AmException.ResourceExhausted> { most.decide(granting(30), NOW) }
    assertEquals(Reason.TOO_MANY_LEASES, refused.reason)
    assertEquals(mapOf("count" to "100000", "max_count" to "100000"), refused.facts)
    val one = most.after(RevokeLease(most.sequence, OPERATOR))
    one.after(granting(30))
    assertEquals(
      0,
      most
        .decide(Due, NOW.plusSeconds(30))
        .application.keyLeases.size,
    )
  }
}

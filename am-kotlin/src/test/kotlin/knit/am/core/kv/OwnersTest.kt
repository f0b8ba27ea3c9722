package knit.am.core.kv

import knit.am.core.AmException
import knit.am.core.Container
import knit.am.core.ContainerChanged
import knit.am.core.EndApplication
import knit.am.core.FailurePolicy
import knit.am.core.FinalStatus
import knit.am.core.Input
import knit.am.core.KeyChanged
import knit.am.core.LaunchFailed
import knit.am.core.NOW
import knit.am.core.NodeLost
import knit.am.core.Reason
import knit.am.core.after
import knit.am.core.completed
import knit.am.core.decide
import knit.am.core.granted
import knit.am.core.id
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.am.core.stopping
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** A key that belongs to a container goes in the very turn in which that is about to end. */
class OwnersTest {
  private val application =
    registered("worker" to service(instances = 3, maxRestarts = 9, maxReplacements = 9, failurePolicy = FailurePolicy.FINISH_OTHERS))
      .after(granted(1, node = 1), started(1), granted(2, node = 2), started(2), granted(3, node = 3))
      .after(
        committing(
          put("a/1", "x", ownedBy("worker", 0)),
          put("a/2", "y", ownedBy("worker", 0)),
          put("b", "z", ownedBy("worker", 1)),
          put("c", "z", ownedBy("worker", 2)),
          put("free"),
        ),
      )

  @Test
  fun howeverItEndsItsKeysGoWithIt() {
    val table: List<Pair<Input, List<String>>> =
      listOf(
        stopping(1) to listOf("b", "c", "free"),
        completed(1) to listOf("b", "c", "free"),
        completed(1, 1) to listOf("b", "c", "free"),
        completed(2, -102) to listOf("a/1", "a/2", "c", "free"),
        LaunchFailed(id(3), "refused") to listOf("a/1", "a/2", "b", "free"),
        NodeLost("node1:8041") to listOf("b", "c", "free"),
        EndApplication(FinalStatus.KILLED, "") to listOf("free"),
      )
    for ((input, left) in table) {
      val decision = application.decide(input, NOW)
      assertEquals(left, decision.application.keys(), "after $input")
      assertEquals(application.sequence + 1, decision.application.sequence, "in the same turn as $input")
      val changes = decision.changes?.changes.orEmpty()
      assertTrue(changes.any { it is ContainerChanged } && changes.any { it is KeyChanged && it.current == null }, "$changes")
    }
  }

  @Test
  fun theOneThatTakesItsPlaceInheritsNothing() {
    val followed = application.after(completed(1, 1), granted(4), started(4))
    val next: Container = checkNotNull(followed.container(id(4)))
    assertEquals(0, next.key.place.rank)
    assertEquals(emptyList<Bytes>(), followed.keyValues.ownedBy(next.ref))
  }

  @Test
  fun whoIsAboutToEndOwnsNothingMore() {
    for (ended in listOf(application.after(stopping(1)), application.after(stopping(1), completed(1, 143)))) {
      val refused = assertThrows<AmException.FailedPrecondition> { ended.decide(committing(put("x", "", ownedBy("worker", 0))), NOW) }
      assertEquals(Reason.CONTAINER_ENDED, refused.reason)
      assertEquals(mapOf("service_name" to "worker", "ordinal" to "0"), refused.facts)
    }
  }

  @Test
  fun aKeyThatIsGivenAwayStays() {
    val given = application.after(committing(put("a/1", ownership = Ownership(null)), put("a/2", ownership = ownedBy("worker", 1))))
    assertEquals(listOf("a/1", "a/2", "b", "c", "free"), given.after(stopping(1)).keys())
  }
}

package knit.am.yarn

import knit.am.core.FinalStatus
import knit.am.core.LARGE
import knit.am.core.Outcome
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.Shape
import kotlinx.coroutines.test.StandardTestDispatcher
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runTest
import org.apache.hadoop.security.AccessControlException
import org.apache.hadoop.security.token.SecretManager
import org.apache.hadoop.yarn.api.records.NMToken
import org.apache.hadoop.yarn.api.records.NodeId
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.io.IOException

class RmSessionTest {
  private val yarn = FakeYarn()
  private val leases = Leases()
  private val small = Shape(SMALL)
  private val large = Shape(LARGE)
  private val lesser = FakeYarn.Node("n1", Resource(3072, 8))
  private val larger = FakeYarn.Node("n2", Resource(6144, 8))

  private fun TestScope.session() = RmSession(lazy { yarn }, leases, StandardTestDispatcher(testScheduler)) { currentTime }

  private suspend fun TestScope.registered(): RmSession {
    yarn.add(lesser)
    yarn.add(larger)
    return session().also {
      assertEquals(Registration(Resource(6144, 8), countsVcores = false), it.register("host", 1))
      it.nodes()
    }
  }

  private fun demand(
    vararg asks: Pair<Shape, NamedCounts>,
    excluded: Set<String> = emptySet(),
  ) = Demand(mapOf(*asks), excluded, 0f)

  private fun anywhere(count: Int) = NamedCounts(count)

  @Test
  fun aGrantIsOfTheShapeItWasAskedForWith() =
    runTest {
      val session = registered()
      session.allocate(demand(small to anywhere(1), large to anywhere(1)))
      yarn.beat(larger)
      val granted = session.allocate(demand(small to anywhere(1), large to anywhere(1))).granted
      assertEquals(setOf(small, large), granted.map { it.requested }.toSet())
      granted.forEach { assertEquals(it.lease.containerId, leases[it.lease.containerId]?.id.toString()) }
    }

  @Test
  fun aGrantWhereItWasAskedForNeedsNoNewRequest() =
    runTest {
      val session = registered()
      val two = NamedCounts(2, mapOf("n1" to 1, "n2" to 1), mapOf("/rack" to 2))
      session.allocate(demand(small to two))
      yarn.beat(lesser)
      assertEquals(2, session.allocate(demand(small to two)).granted.size, "the rack is named, too")
      session.allocate(demand())
      assertEquals(0, yarn.pending)
      assertTrue(yarn.requests.sumOf { it.askList.size } <= 8)
    }

  @Test
  fun anEndTakesTheLeaseAway() =
    runTest {
      val session = registered()
      session.allocate(demand(small to anywhere(1)))
      yarn.beat(lesser)
      val id =
        session
          .allocate(demand())
          .granted
          .single()
          .lease.containerId
      yarn.complete(yarn.live.keys.single(), 7)
      val completed = session.allocate(demand()).completed.single()
      assertEquals(id to 7, completed.containerId to completed.exitStatus)
      assertEquals(null, leases[id])
    }

  @Test
  fun aLostAnswerIsAskedForAgainAndWhatIsNewGoesOutAfterIt() =
    runTest {
      val session = registered()
      session.allocate(demand(small to anywhere(1)))
      yarn.beat(lesser)
      yarn.answersToLose = 1
      assertThrows<IOException> { session.allocate(demand(small to anywhere(1))) }
      val repeated = session.allocate(demand(small to anywhere(1), large to anywhere(2)))
      assertEquals(1, repeated.granted.size, "the grant was in the answer that was lost")
      assertTrue(repeated.isBehind)
      session.allocate(demand(large to anywhere(2)))
      assertEquals(2, yarn.pending)
    }

  @Test
  fun aReleaseIsToldOnceThoughRequestsAndAnswersAreLost() =
    runTest {
      val session = registered()
      session.release(containerId(1).toString())
      yarn.requestsToLose = 2
      repeat(2) { assertThrows<IOException> { session.allocate(demand()) } }
      yarn.answersToLose = 1
      assertThrows<IOException> { session.allocate(demand()) }
      repeat(3) { session.allocate(demand()) }
      assertEquals(listOf(containerId(1)), yarn.released)
    }

  @Test
  fun anRmThatWasStartedAnewIsToldEverything() =
    runTest {
      val session = registered()
      val excluded = setOf("n1:8041")
      session.allocate(demand(small to anywhere(3), excluded = excluded))
      assertEquals(setOf("n1"), yarn.excluded)
      val held = yarn.grant(lesser, SMALL, 1)
      session.release(held.toString())
      yarn.answersToLose = 1
      assertThrows<IOException> { session.allocate(demand(small to anywhere(2), excluded = excluded)) }
      yarn.restart()
      val allocation = session.allocate(demand(small to anywhere(2), large to anywhere(1), excluded = excluded))
      assertEquals(Registration(Resource(6144, 8), countsVcores = false), allocation.registration)
      assertEquals(2, yarn.registrations)
      assertEquals(3, yarn.pending)
      assertEquals(setOf("n1"), yarn.excluded)
      assertTrue(held in yarn.released)
      assertEquals(null, session.allocate(demand(small to anywhere(2), large to anywhere(1), excluded = excluded)).registration)
    }

  @Test
  fun aReleaseThatAnRmHasForgottenIsToldAgainUntilItsEndIsReported() =
    runTest {
      val session = registered()
      session.release(containerId(7).toString())
      session.allocate(demand())
      yarn.restart()
      session.allocate(demand())
      assertEquals(listOf(containerId(7), containerId(7)), yarn.released)
      yarn.live[containerId(7)] = lesser to SMALL
      yarn.complete(containerId(7))
      session.allocate(demand())
      yarn.restart()
      session.allocate(demand())
      assertEquals(2, yarn.released.size)
    }

  @Test
  fun oneAskThatIsTooLargeStopsNothingElse() =
    runTest {
      val session = registered()
      session.allocate(demand(small to anywhere(1)))
      yarn.beat(lesser)
      yarn.nodes -= larger.name
      val release = yarn.grant(lesser, SMALL, 99)
      session.release(release.toString())
      val first = session.allocate(demand(small to anywhere(2), large to anywhere(1)))
      assertEquals(1, first.granted.size, "what the refused heartbeat would have brought")
      assertTrue(release in yarn.released)
      assertTrue(first.isBehind)
      assertEquals(emptyMap<Shape, String>(), first.refused, "it may be either")

      val demand = demand(small to anywhere(1), large to anywhere(1))
      val refused = LinkedHashMap<Shape, String>()
      repeat(3) { refused += session.allocate(demand).refused }
      assertEquals(setOf(large), refused.keys)
      assertEquals("Invalid resource request! Requested $LARGE, maximum allowed ${lesser.capacity}", refused[large])
      assertEquals(1, yarn.pending)
      session.allocate(demand(small to anywhere(1)))
      yarn.beat(lesser)
      assertEquals(1, session.allocate(demand()).granted.size)
    }

  @Test
  fun whatTurnsTooLargeIsTakenBackWithoutBeingRefused() =
    runTest {
      val session = registered()
      session.allocate(demand(large to anywhere(2)))
      yarn.nodes -= larger.name
      val allocation = session.allocate(demand())
      assertEquals(emptyMap<Shape, String>(), allocation.refused)
      assertFalse(allocation.isBehind)
      assertEquals(0, yarn.pending)
    }

  @Test
  fun anRmThatTakesOverWithFewerNodesRefusesOnlyWhatIsTooLargeForThose() =
    runTest {
      val session = registered()
      val demand = demand(small to anywhere(1), large to anywhere(1))
      session.allocate(demand)
      yarn.restart()
      yarn.nodes -= larger.name
      val answers = List(4) { session.allocate(demand) }
      assertEquals(2, yarn.registrations)
      assertEquals(setOf(large), answers.flatMap { it.refused.keys }.toSet())
      assertEquals(1, yarn.pending)
    }

  @Test
  fun everyOtherShapeIsAskedForWhereOneOfSixtyFourIsRefused() =
    runTest {
      val session = registered()
      val shapes = (1L..64L).map { Shape(Resource(it * 16, 1)) } + Shape(Resource(9_000, 1))
      val demand = Demand(shapes.associateWith { anywhere(1) }, emptySet(), 0f)
      val refused = (1..66).flatMap { session.allocate(demand).refused.keys }
      assertEquals(setOf(shapes.last()), refused.toSet())
      assertEquals(64, yarn.pending)
    }

  @Test
  fun tokensAreUsedAsTheyRoll() =
    runTest {
      val session = registered()
      yarn.nextAmToken = token("second")
      yarn.nextNodeTokens = listOf(NMToken.newInstance(NodeId.newInstance("n1", 8041), token("one")))
      session.allocate(demand())
      yarn.nextNodeTokens = listOf(NMToken.newInstance(NodeId.newInstance("n1", 8041), token("another")))
      session.allocate(demand())
      assertEquals(listOf("second"), yarn.tokens)
      assertEquals(mapOf("n1:8041" to "another"), yarn.nodeTokens)
    }

  @Test
  fun aTokenThatIsRefusedOnceOrTwiceIsNoEnd() =
    runTest {
      val session = registered()
      repeat(3) {
        yarn.tokensToRefuse = 4
        repeat(4) { assertThrows<SecretManager.InvalidToken> { session.allocate(demand()) } }
        session.allocate(demand())
      }
    }

  @Test
  fun aTokenThatIsRefusedAgainAndAgainIsOne() =
    runTest {
      val session = registered()
      yarn.tokensToRefuse = 5
      repeat(4) { assertThrows<SecretManager.InvalidToken> { session.allocate(demand()) } }
      assertThrows<LeftBehindException> { session.allocate(demand()) }
    }

  @Test
  fun anAttemptThatIsForgottenIsLeftBehind() =
    runTest {
      val session = registered()
      yarn.isAttemptGone = true
      assertThrows<LeftBehindException> { session.allocate(demand()) }
      assertThrows<LeftBehindException> { session.unregister(Outcome(FinalStatus.SUCCEEDED, "", 0)) }
    }

  @Test
  fun theEndIsToldToAnRmThatHasForgottenAllAndUntilItIsWrittenDown() =
    runTest {
      val session = registered()
      yarn.restart()
      yarn.finishesToDelay = 2
      session.unregister(Outcome(FinalStatus.FAILED, "why", 1))
      assertEquals("why", yarn.finishedWith?.diagnostics)
      assertEquals(-3, yarn.finishesToDelay - 2, "it was asked three times")
      assertEquals(2, yarn.registrations)
    }

  @Test
  fun aRegistrationWhoseAnswerWasLostIsOne() =
    runTest {
      yarn.add(lesser)
      val session = session()
      yarn.answersToLose = 1
      assertThrows<IOException> { session.register("host", 1) }
      assertTrue(session.register("host", 1).maxResource.memoryMib >= lesser.capacity.memoryMib)
      session.allocate(demand(small to anywhere(1)))
      assertEquals(1, yarn.pending)
    }

  @Test
  fun aHeartbeatThatIsOutOfStepIsBroughtIntoIt() =
    runTest {
      val session = registered()
      repeat(3) { session.allocate(demand(small to anywhere(2))) }
      val other = session()
      other.allocate(demand(small to anywhere(1)))
      assertEquals(1, yarn.pending)
    }

  @Test
  fun excludedNodesAreToldByNameAndAsDifferences() =
    runTest {
      val session = registered()
      session.allocate(demand(excluded = setOf("n1:8041")))
      session.allocate(demand(excluded = setOf("n1:8041", "n2:8041")))
      session.allocate(demand(excluded = setOf("n2:8041")))
      assertEquals(setOf("n2"), yarn.excluded)
      assertEquals(listOf("n2"), yarn.requests[1].resourceBlacklistRequest.blacklistAdditions)
    }

  @Test
  fun aLeaseThatAnswersNothingIsGivenBack() =
    runTest {
      val session = registered()
      session.allocate(demand(large to anywhere(1)))
      val tooSmall = yarn.grant(lesser, SMALL, 1)
      val unasked = yarn.grant(lesser, SMALL, 50)
      assertEquals(emptyList<Grant>(), session.allocate(demand(large to anywhere(1))).granted)
      session.allocate(demand(large to anywhere(1)))
      assertEquals(setOf(tooSmall, unasked), yarn.released.toSet())
      assertEquals(1, yarn.pending)
    }

  @Test
  fun nodesThatComeAndGoAreTold() =
    runTest {
      val session = registered()
      session.allocate(demand())
      yarn.lose("n2")
      yarn.add(FakeYarn.Node("n3", Resource(1024, 2), "/other"))
      val allocation = session.allocate(demand())
      assertEquals(listOf("n2:8041"), allocation.lostNodes)
      assertEquals(listOf(NodeRoom("n3:8041", "n3", "/other", Resource(1024, 2))), allocation.newNodes)
      assertEquals(Resource(3072 + 1024, 1), allocation.headroom)
    }

  @Test
  fun withoutATokenOfItsClientsTheRmIsAskedNothingThatOnlyTheyAreTold() =
    runTest {
      val session = registered()
      yarn.isClient = false
      yarn.reportFailure = IOException("it was asked")
      assertEquals(null, session.nodes())
      assertEquals(null, session.queue("default"))
      yarn.isClient = true
      assertThrows<IOException> { session.nodes() }
    }

  @Test
  fun anRmThatTakesOverGoesOnWithTheTokensThatTheOtherHadRolled() =
    runTest {
      val session = registered()
      yarn.nextAmToken = token("of the first")
      yarn.nextNodeTokens = listOf(NMToken.newInstance(NodeId.newInstance("n1", 8041), token("of the first")))
      session.allocate(demand())
      yarn.restart()
      yarn.nextAmToken = token("of the second")
      yarn.nextNodeTokens = listOf(NMToken.newInstance(NodeId.newInstance("n2", 8041), token("of the second")))
      session.allocate(demand())
      assertEquals(listOf("of the first", "of the second"), yarn.tokens)
      assertEquals(mapOf("n1:8041" to "of the first", "n2:8041" to "of the second"), yarn.nodeTokens)
    }

  @Test
  fun whoMayNotAskForNodesIsToldNothingAndAsksNoMore() =
    runTest {
      val session = registered()
      yarn.reportFailure = IOException("DestHost: rm", AccessControlException("Client cannot authenticate via:[TOKEN, KERBEROS]"))
      assertEquals(null, session.nodes())
      yarn.reportFailure = IOException("connection refused")
      assertThrows<IOException> { session.nodes() }
    }
}

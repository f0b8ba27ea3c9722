package knit.am.core.kv

import knit.am.core.ContainerRef
import knit.am.core.kv.Comparison.Operator
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class ComparisonTest {
  private val key = Bytes.of("key")
  private val owner = ContainerRef("worker", 3)
  private val current = KeyValue(key, Bytes.of("m"), createRevision = 5, modifyRevision = 7, version = 2, owner = owner, leaseId = 9)
  private val bare = current.copy(owner = null, leaseId = 0)

  /** What is there, what it is compared with, and which of =, ≠, <, ≤, >, ≥ are true. */
  private val table =
    listOf(
      Triple(current, Comparison.Value(Bytes.of("m")), "= <= >="),
      Triple(current, Comparison.Value(Bytes.of("n")), "!= < <="),
      Triple(current, Comparison.Value(Bytes.EMPTY), "!= > >="),
      Triple(current, Comparison.Value(Bytes(byteArrayOf(-1))), "!= < <="),
      Triple(null, Comparison.Value(Bytes.EMPTY), "!="),
      Triple(current, Comparison.ModifyRevision(7), "= <= >="),
      Triple(current, Comparison.ModifyRevision(8), "!= < <="),
      Triple(current, Comparison.ModifyRevision(0), "!= > >="),
      Triple(null, Comparison.ModifyRevision(0), "="),
      Triple(null, Comparison.ModifyRevision(1), "!="),
      Triple(current, Comparison.CreateRevision(4), "!= > >="),
      Triple(null, Comparison.CreateRevision(0), "="),
      Triple(current, Comparison.Version(2), "= <= >="),
      Triple(current, Comparison.Version(3), "!= < <="),
      Triple(null, Comparison.Version(0), "="),
      Triple(current, Comparison.Owner(owner), "= <= >="),
      Triple(current, Comparison.Owner(ContainerRef("worker", 10)), "!= < <="),
      Triple(current, Comparison.Owner(ContainerRef("chief", 10)), "!= > >="),
      Triple(current, Comparison.Owner(null), "!="),
      Triple(bare, Comparison.Owner(null), "="),
      Triple(bare, Comparison.Owner(owner), "!="),
      Triple(null, Comparison.Owner(null), "="),
      Triple(null, Comparison.Owner(owner), "!="),
      Triple(current, Comparison.Lease(9), "= <= >="),
      Triple(current, Comparison.Lease(8), "!= > >="),
      Triple(current, Comparison.Lease(0), "!="),
      Triple(bare, Comparison.Lease(0), "="),
      Triple(bare, Comparison.Lease(1), "!="),
      Triple(null, Comparison.Lease(0), "="),
      Triple(current, Comparison.Exists(true), "= <= >="),
      Triple(current, Comparison.Exists(false), "!= > >="),
      Triple(null, Comparison.Exists(false), "="),
      Triple(null, Comparison.Exists(true), "!="),
    )

  private val signs =
    mapOf(
      "=" to Operator.EQUAL,
      "!=" to Operator.NOT_EQUAL,
      "<" to Operator.LESS,
      "<=" to Operator.LESS_OR_EQUAL,
      ">" to Operator.GREATER,
      ">=" to Operator.GREATER_OR_EQUAL,
    )

  @Test
  fun eachOperatorHoldsWhereItShould() {
    for ((there, target, expected) in table) {
      val holding = signs.filter { (_, operator) -> Comparison(key, operator, target).holds(there) }.keys.joinToString(" ")
      assertEquals(expected, holding, "$there compared with $target")
    }
  }
}

package knit.am.security

import knit.am.core.ContainerRef
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.random.Random

class ContainerTokensTest {
  private val key = ByteArray(32) { it.toByte() }
  private val tokens = ContainerTokens(key, "history")
  private val holders =
    listOf(
      ContainerHolder(ContainerRef("worker", 0), 1),
      ContainerHolder(ContainerRef("a", 999_999_999), 999_999_999),
      ContainerHolder(ContainerRef("A.b_c-" + "x".repeat(57), 12), 3),
      // A service may be called as the driver is.
      ContainerHolder(ContainerRef("driver", 1), 1),
      DriverHolder(1),
      DriverHolder(999_999_999),
    )

  @Test
  fun aTokenNamesWhomItWasGivenTo() {
    for (holder in holders) {
      val token = tokens.of(holder)
      assertEquals(holder, tokens.holderOf(token))
      assertEquals(token, tokens.of(holder), "the same whenever it is made")
      assertTrue(token.length <= ContainerTokens.MAX_TOKEN_CHARACTERS && token.all { it in '!'..'~' }, token)
    }
    assertEquals(holders.size, holders.map(tokens::of).toSet().size)
  }

  @Test
  fun aTokenOfAnotherHistoryOrApplicationIsNone() {
    val token = tokens.of(holders[0])
    assertNull(ContainerTokens(key, "another").holderOf(token))
    assertNull(ContainerTokens(key.reversedArray(), "history").holderOf(token))
    assertEquals(holders[0], ContainerTokens(key, "history").holderOf(token))
  }

  /** One digit is a container beside it; the last character of the code has bits that say nothing, and is compared all the same. */
  @Test
  fun aTokenThatWasChangedAnywhereIsNone() {
    val alphabet = ('0'..'9') + ('A'..'Z') + ('a'..'z') + listOf('-', '_', '.', '/')
    for (holder in holders) {
      val token = tokens.of(holder)
      for (position in token.indices) {
        for (other in alphabet - token[position]) {
          assertNull(tokens.holderOf(token.replaceRange(position, position + 1, "$other")), "$position $other")
        }
        assertNull(tokens.holderOf(token.removeRange(position, position + 1)))
      }
      assertNull(tokens.holderOf("$token="))
      assertNull(tokens.holderOf(token.replace("/", "/0")))
    }
  }

  @Test
  fun whatIsNoTokenIsNone() {
    val code = "A".repeat(43)
    val hostile =
      listOf("", "/", "///", "worker/0/1/", "worker/0/1/$code", "worker/-1/1/$code", "worker/99999999999/1/$code", "wörker/0/1/$code") +
        listOf(
          "a/b/0/1/$code",
          "driver/$code",
          "driver/1/$code",
          "driver/-1/$code",
          "driver/9999999999/$code",
          "worker/0/1/$code\n",
          "\nworker/0/1/$code",
          "x".repeat(8_000),
          "/".repeat(8_000),
          "1/1/1/" + "A".repeat(8_000),
        )
    for (token in hostile) assertNull(tokens.holderOf(token), token.take(40))
    val random = Random(1)
    repeat(10_000) {
      val characters = CharArray(random.nextInt(300)) { random.nextInt(0x20, 0x7f).toChar() }
      assertNull(tokens.holderOf(String(characters)))
    }
  }

  @Test
  fun aShortKeyIsNone() {
    assertThrows(IllegalArgumentException::class.java) { ContainerTokens(ByteArray(31), "history") }
    assertNotEquals(ContainerTokens(ByteArray(32), "history").of(holders[0]), tokens.of(holders[0]))
  }
}

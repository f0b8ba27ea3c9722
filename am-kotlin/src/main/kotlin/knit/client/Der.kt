package knit.client

import java.io.ByteArrayOutputStream
import java.math.BigInteger
import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter

/** As much of ASN.1's distinguished encoding as a certificate needs; each function returns an encoded value. */
internal object Der {
  private const val BOOLEAN = 0x01
  private const val INTEGER = 0x02
  private const val BIT_STRING = 0x03
  private const val OCTET_STRING = 0x04
  private const val OBJECT_IDENTIFIER = 0x06
  private const val UTF8_STRING = 0x0c
  private const val UTC_TIME = 0x17
  private const val GENERALIZED_TIME = 0x18
  private const val SEQUENCE = 0x30
  private const val SET = 0x31
  private const val IMPLICIT = 0x80
  private const val EXPLICIT = 0xa0

  /** The first year that two digits cannot say: X.509 takes them for 1950 to 2049. */
  private const val FIRST_LONG_YEAR = 2050
  private val shortTime = DateTimeFormatter.ofPattern("yyMMddHHmmss'Z'").withZone(ZoneOffset.UTC)
  private val longTime = DateTimeFormatter.ofPattern("yyyyMMddHHmmss'Z'").withZone(ZoneOffset.UTC)

  fun sequence(vararg parts: ByteArray) = encoded(SEQUENCE, *parts)

  fun set(vararg parts: ByteArray) = encoded(SET, *parts)

  fun bool(value: Boolean) = encoded(BOOLEAN, byteArrayOf(if (value) -1 else 0))

  fun integer(value: BigInteger) = encoded(INTEGER, value.toByteArray())

  fun integer(value: Long) = integer(BigInteger.valueOf(value))

  fun octets(value: ByteArray) = encoded(OCTET_STRING, value)

  fun text(value: String) = encoded(UTF8_STRING, value.toByteArray())

  /** [value] as bits, of which the last [unused] do not count. */
  fun bits(
    value: ByteArray,
    unused: Int = 0,
  ) = encoded(BIT_STRING, byteArrayOf(unused.toByte()), value)

  fun time(value: Instant): ByteArray =
    if (value.atZone(ZoneOffset.UTC).year < FIRST_LONG_YEAR) {
      encoded(UTC_TIME, shortTime.format(value).toByteArray())
    } else {
      encoded(GENERALIZED_TIME, longTime.format(value).toByteArray())
    }

  /** An object identifier, from its dotted form. */
  fun oid(dotted: String): ByteArray {
    val (first, second) = dotted.split('.').map { it.toInt() }
    val bytes = ByteArrayOutputStream().apply { write(first * 40 + second) }
    dotted.split('.').drop(2).forEach { bytes.write(base128(it.toInt())) }
    return encoded(OBJECT_IDENTIFIER, bytes.toByteArray())
  }

  /** [content] within the tag [number] of its context. */
  fun explicit(
    number: Int,
    content: ByteArray,
  ) = encoded(EXPLICIT + number, content)

  /** A primitive value whose own tag is replaced by the tag [number] of its context. */
  fun implicit(
    number: Int,
    value: ByteArray,
  ) = encoded(IMPLICIT + number, value)

  private fun base128(value: Int): ByteArray {
    val groups =
      generateSequence(value) { it ushr 7 }
        .takeWhile { it > 0 }
        .map { it and 0x7f }
        .toList()
        .ifEmpty { listOf(0) }
    return groups.reversed().mapIndexed { index, group -> (if (index < groups.size - 1) group or 0x80 else group).toByte() }.toByteArray()
  }

  private fun encoded(
    tag: Int,
    vararg parts: ByteArray,
  ): ByteArray {
    val size = parts.sumOf { it.size }
    val bytes = ByteArrayOutputStream(size + 6)
    bytes.write(tag)
    if (size < 0x80) {
      bytes.write(size)
    } else {
      val length =
        BigInteger
          .valueOf(size.toLong())
          .toByteArray()
          .dropWhile { it == 0.toByte() }
          .toByteArray()
      bytes.write(0x80 or length.size)
      bytes.write(length)
    }
    parts.forEach { bytes.write(it) }
    return bytes.toByteArray()
  }

  private fun ByteArrayOutputStream.write(bytes: ByteArray) = write(bytes, 0, bytes.size)
}

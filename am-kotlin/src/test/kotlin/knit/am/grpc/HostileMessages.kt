package knit.am.grpc

import com.google.protobuf.ByteString
import com.google.protobuf.Descriptors.Descriptor
import com.google.protobuf.Descriptors.FieldDescriptor
import com.google.protobuf.Descriptors.FieldDescriptor.JavaType
import com.google.protobuf.DynamicMessage
import com.google.protobuf.Message
import com.google.protobuf.UnknownFieldSet
import kotlin.random.Random

/**
 * Requests that nobody in their right mind sends, made from the contract: whatever field is added to it is among them.
 *
 * @param words what strings are taken from, so that some requests get as far as what they name
 */
internal class HostileMessages(
  private val random: Random,
  private val words: List<String>,
) {
  /**
   * A message of [type] in which every field may have any value, mostly a short or an extreme one.
   *
   * @param isTame only few fields, and values that may make sense: such a request gets further
   */
  fun any(
    type: Descriptor,
    isTame: Boolean,
    depth: Int = 0,
  ): DynamicMessage {
    val message = DynamicMessage.newBuilder(type)
    val isSparse = isTame || random.nextBoolean()
    for (field in type.fields) {
      val isTooDeep = depth >= DEEPEST && field.javaType == JavaType.MESSAGE
      if (isTooDeep || (isSparse && random.nextInt(3) > 0)) continue
      val value = { if (isTame) tameValue(field, message, depth) else anyValue(field, message, depth) }
      if (field.isRepeated) repeat(random.nextInt(4)) { message.addRepeatedField(field, value()) } else message.setField(field, value())
    }
    if (!isTame && random.nextInt(20) == 0) message.unknownFields = newer()
    return message.build()
  }

  private fun tameValue(
    field: FieldDescriptor,
    within: Message.Builder,
    depth: Int,
  ): Any =
    when (checkNotNull(field.javaType)) {
      JavaType.INT -> random.nextInt(4)
      JavaType.LONG -> random.nextLong(4)
      JavaType.ENUM -> field.enumType.values.random(random)
      JavaType.STRING -> words.random(random)
      JavaType.BYTE_STRING -> ByteString.copyFromUtf8(words.random(random))
      JavaType.MESSAGE -> within.newBuilderForField(field).let { any(it.descriptorForType, isTame = true, depth + 1) }
      else -> anyValue(field, within, depth)
    }

  private fun newer() =
    UnknownFieldSet
      .newBuilder()
      .addField(
        random.nextInt(100, 1_000),
        UnknownFieldSet.Field
          .newBuilder()
          .addVarint(random.nextLong())
          .build(),
      ).build()

  private fun anyValue(
    field: FieldDescriptor,
    within: Message.Builder,
    depth: Int,
  ): Any =
    when (checkNotNull(field.javaType)) {
      JavaType.INT -> if (random.nextBoolean()) random.nextInt(-2, 5) else INTS.random(random)
      JavaType.LONG -> if (random.nextBoolean()) random.nextLong(-2, 5) else LONGS.random(random)
      JavaType.FLOAT -> DOUBLES.random(random).toFloat()
      JavaType.DOUBLE -> DOUBLES.random(random)
      JavaType.BOOLEAN -> random.nextBoolean()
      JavaType.STRING -> text()
      JavaType.BYTE_STRING -> if (random.nextBoolean()) ByteString.copyFromUtf8(text()) else ByteString.copyFrom(bytes())
      JavaType.ENUM -> field.enumType.findValueByNumberCreatingIfUnknown(random.nextInt(-1, field.enumType.values.size + 2))
      JavaType.MESSAGE -> within.newBuilderForField(field).let { any(it.descriptorForType, isTame = false, depth + 1) }
    }

  private fun text(): String =
    when (random.nextInt(10)) {
      0 -> ""
      1 -> String(CharArray(random.nextInt(1, 6)) { random.nextInt(0xD800).toChar() })
      2 -> "x".repeat(random.nextInt(2_000))
      else -> words.random(random)
    }

  /** No message at all, but for a very few. */
  fun bytes(): ByteArray = random.nextBytes(random.nextInt(64))

  /** [bytes] with some of them gone, changed, or new. */
  fun mutated(bytes: ByteArray): ByteArray {
    val changed = bytes.toMutableList()
    repeat(random.nextInt(1, 4)) {
      val place = random.nextInt(changed.size.coerceAtLeast(1))
      when (random.nextInt(4)) {
        0 -> if (changed.isNotEmpty()) changed.removeAt(place)
        1 -> changed.add(place.coerceAtMost(changed.size), random.nextInt().toByte())
        2 -> if (changed.isNotEmpty()) changed[place] = random.nextInt().toByte()
        else -> if (changed.isNotEmpty()) changed[place] = (changed[place].toInt() xor (1 shl random.nextInt(8))).toByte()
      }
    }
    return changed.toByteArray()
  }

  private companion object {
    /** A specification with its services, their policies and their parts. */
    const val DEEPEST = 6
    val INTS = listOf(Int.MIN_VALUE, Int.MAX_VALUE, 99, 65_536, 1_000_000_000)
    val LONGS = listOf(Long.MIN_VALUE, Long.MAX_VALUE, 99L, 1L shl 32, 253_402_300_800L)
    val DOUBLES = listOf(0.0, 0.5, 1.0, -1.0, Double.NaN, Double.POSITIVE_INFINITY, Double.MAX_VALUE, Double.MIN_VALUE)
  }
}

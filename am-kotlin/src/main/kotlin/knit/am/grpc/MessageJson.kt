package knit.am.grpc

import com.google.protobuf.ByteString
import com.google.protobuf.Descriptors.EnumValueDescriptor
import com.google.protobuf.Descriptors.FieldDescriptor
import com.google.protobuf.Duration
import com.google.protobuf.Message
import com.google.protobuf.Timestamp
import java.util.Base64

/**
 * This as protobuf's own JSON, with the names of the contract, on one line: whoever has the contract reads it as a message.
 * Numbers of 64 bits are numbers. What is not set is left out.
 *
 * By reflection, which is slow the first time: not for calls.
 */
internal fun Message.toJson(): String = StringBuilder().also { it.appendMessage(this) }.toString()

/** [text] as a JSON string. */
internal fun StringBuilder.appendQuoted(text: String): StringBuilder {
  append('"')
  for (character in text) {
    when {
      character == '"' || character == '\\' -> append('\\').append(character)

      // Half of a character is none, in UTF-8.
      character < ' ' || character.isSurrogate() -> append("\\u%04x".format(character.code))

      else -> append(character)
    }
  }
  return append('"')
}

private fun StringBuilder.appendMessage(message: Message) {
  append('{')
  var isFirst = true
  for ((field, value) in message.allFields) {
    if (!isFirst) append(',')
    isFirst = false
    appendQuoted(field.name).append(':')
    when {
      field.isMapField -> appendMap(field, value as List<*>)
      field.isRepeated -> appendAll('[', ']', value as List<*>) { appendValue(it) }
      else -> appendValue(value)
    }
  }
  append('}')
}

private fun StringBuilder.appendMap(
  field: FieldDescriptor,
  entries: List<*>,
) {
  val (keyField, valueField) = field.messageType.fields
  appendAll('{', '}', entries) { entry ->
    entry as Message
    appendQuoted("${entry.getField(keyField)}").append(':')
    appendValue(entry.getField(valueField))
  }
}

private fun StringBuilder.appendAll(
  begin: Char,
  end: Char,
  values: List<*>,
  appendOne: (Any?) -> Unit,
) {
  append(begin)
  values.forEachIndexed { number, value ->
    if (number > 0) append(',')
    appendOne(value)
  }
  append(end)
}

private fun StringBuilder.appendValue(value: Any?) {
  when (value) {
    is Timestamp -> appendQuoted("${value.toDomain()}")
    is Duration -> appendQuoted(value.toDomain().run { "$seconds.%09ds".format(nano) })
    is Message -> appendMessage(value)
    is EnumValueDescriptor -> appendQuoted(value.name)
    is ByteString -> appendQuoted(Base64.getEncoder().encodeToString(value.toByteArray()))
    is Double -> if (value.isNaN() || value.isInfinite()) appendQuoted("$value") else append(value)
    is Number, is Boolean -> append("$value")
    else -> appendQuoted("$value")
  }
}

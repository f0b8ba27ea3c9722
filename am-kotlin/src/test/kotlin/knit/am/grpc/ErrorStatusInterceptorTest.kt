package knit.am.grpc

import com.google.rpc.ErrorInfo
import io.grpc.Metadata
import io.grpc.MethodDescriptor
import io.grpc.ServerCall
import io.grpc.Status
import knit.am.core.AmException
import knit.am.core.Reason
import knit.v1.ApplicationServiceGrpc
import knit.v1.GetApplicationRequest
import knit.v1.GetApplicationResponse
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import com.google.rpc.Status as StatusMessage

class ErrorStatusInterceptorTest {
  private class Call : ServerCall<GetApplicationRequest, GetApplicationResponse>() {
    lateinit var status: Status
    lateinit var trailers: Metadata

    override fun request(number: Int) = Unit

    override fun sendHeaders(headers: Metadata) = Unit

    override fun sendMessage(message: GetApplicationResponse) = Unit

    override fun close(
      status: Status,
      trailers: Metadata,
    ) {
      this.status = status
      this.trailers = trailers
    }

    override fun isCancelled() = false

    override fun getMethodDescriptor(): MethodDescriptor<GetApplicationRequest, GetApplicationResponse> =
      ApplicationServiceGrpc.getGetApplicationMethod()
  }

  /** How a call ends that grpc-kotlin ends with [failure]. */
  private fun told(failure: Throwable): Call {
    val call = Call()
    ErrorStatusInterceptor().interceptCall(call, Metadata()) { inner, _ ->
      inner.close(Status.fromThrowable(failure), Metadata())
      object : ServerCall.Listener<GetApplicationRequest>() {}
    }
    return call
  }

  @Test
  fun anInternalErrorTellsClientsNoDetails() {
    val call = told(IllegalStateException("the password is hunter2"))
    val status = call.status
    assertEquals(Status.Code.INTERNAL, status.code)
    assertFalse("hunter2" in status.description.orEmpty())
    assertTrue("GetApplication failed inside the Application Master" in status.description.orEmpty(), status.description)
    assertEquals("INTERNAL", call.info().reason)
    assertFalse("hunter2" in call.details().toString())
  }

  @Test
  fun eachOfOurOwnErrorsHasAStatusAndItsSentence() {
    val table =
      mapOf(
        AmException.NotFound("x", Reason.NO_SUCH_KEY) to Status.Code.NOT_FOUND,
        AmException.AlreadyExists("x", Reason.SERVICE_EXISTS) to Status.Code.ALREADY_EXISTS,
        AmException.InvalidArgument("x") to Status.Code.INVALID_ARGUMENT,
        AmException.FailedPrecondition("x", Reason.APPLICATION_ENDING) to Status.Code.FAILED_PRECONDITION,
        AmException.PermissionDenied("x") to Status.Code.PERMISSION_DENIED,
        AmException.Unauthenticated("x", Reason.NO_ROLE) to Status.Code.UNAUTHENTICATED,
        AmException.ResourceExhausted("x", Reason.STORE_FULL) to Status.Code.RESOURCE_EXHAUSTED,
        AmException.OutOfRange("x", Reason.HISTORY_LOST) to Status.Code.OUT_OF_RANGE,
        AmException.Unavailable("x", Reason.APPLICATION_LEAVING) to Status.Code.UNAVAILABLE,
      )
    for ((failure, code) in table) {
      val call = told(failure)
      assertEquals(code to "x", call.status.let { it.code to it.description })
      assertEquals(code.value() to "x", call.details().let { it.code to it.message })
      assertEquals("knit" to failure.reason.name, call.info().let { it.domain to it.reason })
    }
    val cancelled = told(Status.CANCELLED.asException())
    assertEquals(Status.Code.CANCELLED, cancelled.status.code)
    assertFalse(cancelled.trailers.containsKey(STATUS_DETAILS))
  }

  @Test
  fun factsGoAlong() {
    val facts = mapOf("bytes" to "9000000", "max_bytes" to "8388608")
    assertEquals(facts, told(AmException.ResourceExhausted("Too large.", Reason.VALUE_TOO_LARGE, facts)).info().metadataMap)
  }

  @Test
  fun whateverAnErrorSaysItFitsIntoWhatClientsTakeBesideMessages() {
    val large = "\uD83D\uDE80x".repeat(100_000)
    val facts = mapOf("bytes" to "9000000", "key" to large, "max_bytes" to "8388608")
    for (sentence in listOf("$large. Try less.", "é".repeat(1_000), "\n".repeat(100_000), "a".repeat(1_025), "\uD83D".repeat(2_000))) {
      val call = told(AmException.InvalidArgument(sentence, facts = facts))
      val description = checkNotNull(call.status.description)
      assertTrue(description.toByteArray().size in MAX_SENTENCE_BYTES - 16..MAX_SENTENCE_BYTES, description)
      assertEquals(mapOf("bytes" to "9000000"), call.info().metadataMap, "a part of a fact would be a wrong one")

      // As they go over the wire: what is not plain ASCII takes three bytes for one, binary takes four for three.
      val text = description.toByteArray().sumOf { if (it in 0x20..0x7e && it != '%'.code.toByte()) 1.toInt() else 3 }
      val binary = (checkNotNull(call.trailers[STATUS_DETAILS]).size + 2) / 3 * 4
      assertTrue(text + binary < AmServer.MAX_METADATA_BYTES - 1_024, "$text and $binary bytes")
    }
    val cut = told(AmException.InvalidArgument("$large. Try less.")).status.description.orEmpty()
    assertTrue(cut.endsWith(". Try less."), "what to do stands at the end")
    assertEquals("a".repeat(1_024), told(AmException.InvalidArgument("a".repeat(1_024))).status.description)
  }

  @Test
  fun factsAreToldAsFarAsTheyFit() {
    val facts = (1..100).associate { "name$it" to "x".repeat(90) }
    val told = told(AmException.InvalidArgument("x", facts = facts)).info().metadataMap
    assertEquals(facts.entries.take(told.size).associate { it.key to it.value }, told)
    assertTrue(told.size in 9..11, "${told.size} facts")
  }

  @Test
  fun eachReasonThatTheContractNamesIsOneOfOurs() {
    val folder = File("../proto/knit/v1").takeIf { it.isDirectory } ?: File("proto/knit/v1")
    val named = mutableSetOf<String>()
    for (file in checkNotNull(folder.listFiles())) {
      val comments = file.readLines().filter { it.trimStart().startsWith("//") }.joinToString(" ") { it.trimStart(' ', '/') }
      val words = Regex("""reasons? ((?:`[A-Z_]+`(?:, or | or |, )?)+)""").findAll(comments)
      words.forEach { named += Regex("[A-Z_]{4,}").findAll(it.groupValues[1]).map(MatchResult::value) }
    }
    assertTrue("HISTORY_LOST" in named && named.size > 15, "the contract names reasons: $named")
    assertEquals(emptySet<String>(), named - Reason.values().map { it.name }.toSet())
  }

  /** The list for who writes a client: names are promised, so each has its line before anybody meets it. */
  @Test
  fun theTableForPeopleHasEveryReasonWithAStatusOfOurs() {
    val page = File("../docs/contract.md").takeIf { it.isFile } ?: File("docs/contract.md")
    val row = Regex("""^\| `([A-Z_]+)` \| ((?:`[A-Z_]+`(?:, )?)+) \| .+ \|$""", RegexOption.MULTILINE)
    val rows = row.findAll(page.readText().substringAfter("## Reasons")).toList()
    assertEquals(Reason.values().map { it.name }.sorted(), rows.map { it.groupValues[1] })
    val statuses = rows.flatMap { Regex("[A-Z_]+").findAll(it.groupValues[2]) }.map { it.value }.toSet()
    assertEquals(
      emptySet<String>(),
      statuses -
        Status.Code
          .values()
          .map { it.name }
          .toSet(),
    )
  }

  private fun Call.details(): StatusMessage = StatusMessage.parseFrom(trailers[STATUS_DETAILS])

  private fun Call.info(): ErrorInfo = details().detailsList.single().unpack(ErrorInfo::class.java)
}

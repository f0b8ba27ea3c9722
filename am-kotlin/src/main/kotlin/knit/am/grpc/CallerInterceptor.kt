package knit.am.grpc

import io.grpc.Attributes
import io.grpc.Context
import io.grpc.Contexts
import io.grpc.Grpc
import io.grpc.Metadata
import io.grpc.ServerCall
import io.grpc.ServerCallHandler
import io.grpc.ServerInterceptor
import io.grpc.ServerTransportFilter
import io.grpc.Status
import knit.am.core.AmException
import knit.am.core.Caller
import knit.am.core.Reason
import knit.am.core.Role
import knit.am.security.CALLER
import knit.am.security.ClientRoles
import knit.am.security.ContainerHolder
import knit.am.security.ContainerTokens
import knit.am.security.DriverHolder
import knit.am.security.HOW_TO_GET_A_ROLE
import knit.am.security.Roles
import knit.am.security.TokenHolder
import java.security.cert.X509Certificate
import javax.net.ssl.SSLPeerUnverifiedException

/** Reads once for each connection what the certificate says that TLS has let in. */
internal class PeerRoles(
  private val roles: ClientRoles,
) : ServerTransportFilter() {
  override fun transportReady(attributes: Attributes): Attributes {
    val certificate =
      try {
        attributes[Grpc.TRANSPORT_ATTR_SSL_SESSION]?.peerCertificates?.firstOrNull() as? X509Certificate
      } catch (
        @Suppress("SwallowedException") none: SSLPeerUnverifiedException,
      ) {
        null
      }
    val role = certificate?.let(roles::of) ?: return attributes
    return attributes.toBuilder().set(ROLE, role).build()
  }

  companion object {
    /** Absent where the certificate stands for no role. */
    val ROLE: Attributes.Key<Role> = Attributes.Key.create("knit-role")
  }
}

/**
 * Knows who calls, from the connection's certificate ([PeerRoles]) and, for containers and the driver, from their token; tells services
 * ([knit.am.security.callerOf]), and lets nobody make a call that is not for its role ([Roles]).
 *
 * It refuses through the call it is given: [ErrorStatusInterceptor] stands outside.
 *
 * @param roleOf what a program that the application runs may, as its service says; null where it has ended, or is another one than the
 *   token's
 */
internal class CallerInterceptor(
  private val tokens: ContainerTokens,
  private val roleOf: (TokenHolder) -> Role?,
) : ServerInterceptor {
  override fun <Q, A> interceptCall(
    call: ServerCall<Q, A>,
    headers: Metadata,
    next: ServerCallHandler<Q, A>,
  ): ServerCall.Listener<Q> {
    val caller =
      try {
        callerOf(call.attributes[PeerRoles.ROLE], headers).also { Roles.refuseUnless(it, call.methodDescriptor.fullMethodName) }
      } catch (refused: AmException) {
        call.close(Status.UNKNOWN.withCause(refused), Metadata())
        return object : ServerCall.Listener<Q>() {}
      }
    return Contexts.interceptCall(Context.current().withValue(CALLER, caller), call, headers, next)
  }

  private fun callerOf(
    role: Role?,
    headers: Metadata,
  ): Caller =
    when (role) {
      null -> throw AmException.Unauthenticated(
        "This client's certificate says no role that this Application Master knows. $HOW_TO_GET_A_ROLE Or name the certificate when " +
          "submitting (client_grants).",
        Reason.NO_ROLE,
      )

      Role.CONTAINER -> container(headers)

      else -> Caller(role)
    }

  private fun container(headers: Metadata): Caller {
    val token =
      headers[TOKEN] ?: throw AmException.Unauthenticated(
        "A container's certificate is good only with the container's token: send the content of \$KNIT_CREDENTIALS/token as " +
          "metadata '${TOKEN.originalName()}' with each call.",
        Reason.TOKEN_MISSING,
      )
    val holder =
      tokens.holderOf(token) ?: throw AmException.Unauthenticated(
        "The token sent as '${TOKEN.originalName()}' is none of this Application Master's: it was changed on the way, or an " +
          "Application Master that has been replaced gave it. Read \$KNIT_CREDENTIALS/token in the container itself.",
        Reason.TOKEN_REFUSED,
      )
    val role = roleOf(holder) ?: throw ended(holder)
    return when (holder) {
      is ContainerHolder -> Caller(role, holder.container)
      is DriverHolder -> Caller(role, isDriver = true)
    }
  }

  private fun ended(holder: TokenHolder): AmException =
    when (holder) {
      is ContainerHolder -> {
        AmException.Unauthenticated(
          "${holder.container} has ended, and its token with it. Whoever takes its place has a token of its own.",
          Reason.CONTAINER_ENDED,
          mapOf("service_name" to holder.container.serviceName, "ordinal" to "${holder.container.ordinal}"),
        )
      }

      is DriverHolder -> {
        AmException.Unauthenticated(
          "The driver has ended, and its token with it. Where the application begins anew, another driver has a token of its own.",
          Reason.DRIVER_ENDED,
          mapOf("attempt_number" to "${holder.attemptNumber}"),
        )
      }
    }

  companion object {
    val TOKEN: Metadata.Key<String> = Metadata.Key.of("knit-token", Metadata.ASCII_STRING_MARSHALLER)
  }
}

package knit.am.security

/** What containers are let in with: the certificate and key that all of them have, as PEM, and what their tokens are made with. */
class ContainerKeys(
  internal val certificate: ByteArray,
  internal val key: ByteArray,
  internal val tokenKey: ByteArray,
)

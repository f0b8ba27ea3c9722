package knit.am

/** The application's own directory in the cluster's file system. */
internal interface Staging {
  /** Leaves [address] for clients to find, where YARN's report of the application does not carry it. */
  suspend fun publish(address: String)

  /** Removes the directory; a client that comes later finds nothing to connect with. */
  suspend fun remove()
}

package knit.am.core

import knit.am.core.kv.Bytes
import knit.am.core.kv.Committed
import knit.am.core.kv.KeyLease
import knit.am.core.kv.Transaction
import java.time.Duration

/** A client reads and writes keys of the store: all of it, or nothing. */
data class Commit(
  val transaction: Transaction,
  val caller: Caller,
  /** Empty: never deduplicated. */
  val requestId: String = "",
  /** See [AddContainers.historyId]. */
  val historyId: String = "",
  /** Whether values of what is deleted are left out where an answer has no room for them; else it is refused. */
  val trims: Boolean = false,
) : Command<Committed>

/** A client wants a lease that keys can name; the answer is the lease. */
data class GrantLease(
  val timeToLive: Duration,
  val caller: Caller,
  /** Empty: never deduplicated. */
  val requestId: String = "",
) : Command<KeyLease>

/** A client keeps a lease for another time to live, from now on; the answer is the lease as it is then. */
data class KeepLease(
  val leaseId: Long,
  val caller: Caller,
) : Command<KeyLease>

/** A client ends a lease; the answer is the keys that went with it, none where there is no such lease. */
data class RevokeLease(
  val leaseId: Long,
  val caller: Caller,
) : Command<List<Bytes>>

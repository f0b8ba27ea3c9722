package knit.am.core

/** Why a call was refused, for programs. The names are the contract's: none is ever changed or given another meaning. */
enum class Reason {
  /** The application's annotations would be more than it may have. */
  ANNOTATIONS_TOO_LARGE,

  /** What was asked to be returned does not fit into a message. */
  ANSWER_TOO_LARGE,

  /** This connection has more answers that nobody reads than it may. */
  ANSWERS_UNREAD,

  /** The application is ending or has ended, and takes nothing new. */
  APPLICATION_ENDING,

  /** The Application Master is about to leave. */
  APPLICATION_LEAVING,

  /** The Application Master is not registered with YARN yet. */
  APPLICATION_STARTING,

  /** The container is about to end, or has. */
  CONTAINER_ENDED,

  /** The driver has ended. */
  DRIVER_ENDED,

  /** Variables are more than the Application Master keeps. */
  ENVIRONMENT_TOO_LARGE,

  /** What follows a position is kept no more. */
  EVENTS_FORGOTTEN,

  /** What the request names belongs to an Application Master that was replaced. */
  HISTORY_LOST,

  /** A fault of the Application Master's. */
  INTERNAL,

  /** The request is malformed, in a way that has no name of its own. */
  INVALID_ARGUMENT,

  /** A key of the store is longer than it may be. */
  KEY_TOO_LARGE,

  /** The nodes show logs only to who proves by Kerberos who they are, which the Application Master cannot. */
  LOGS_NEED_KERBEROS,

  /** A container's node does not answer for its logs, or has them no more. */
  LOGS_UNAVAILABLE,

  /** Nothing in the container could do this yet. */
  NEEDS_AGENT,

  /** The caller's certificate stands for no role. */
  NO_ROLE,
  NO_SUCH_CONTAINER,
  NO_SUCH_KEY,
  NO_SUCH_LEASE,
  NO_SUCH_SERVICE,

  /** No update is under way. */
  NO_UPDATE,

  /** A container may do this with itself only. */
  NOT_YOURSELF,

  /** A file that grows no more is shorter than that. */
  OFFSET_PAST_END,

  /** The caller's role does not include this. */
  PERMISSION_DENIED,

  /** The service does not let its programs say when they are ready. */
  READINESS_NOT_REPORTED,

  /** The request may have been carried out before, and is remembered no more. */
  REQUEST_TOO_OLD,

  /** More than YARN grants to one container. */
  RESOURCE_TOO_LARGE,

  /** The service is of another revision than the request believes. */
  REVISION_CHANGED,
  SERVICE_EXISTS,

  /** Another service waits for it. */
  SERVICE_NEEDED,
  SERVICE_REMOVED,

  /** The key-value store holds as much as it may. */
  STORE_FULL,

  /** A container's certificate comes without a token. */
  TOKEN_MISSING,

  /** A token is none of this Application Master's. */
  TOKEN_REFUSED,
  TOO_MANY_CONTAINERS,
  TOO_MANY_FILES,
  TOO_MANY_LEASES,

  /** Containers of too many revisions of a service are there. */
  TOO_MANY_REVISIONS,
  TOO_MANY_SERVICES,
  TOO_MANY_STREAMS,

  /** The request has a field or value that this Application Master does not know. */
  UNKNOWN_FIELD,

  /** Another update of the service is. */
  UPDATE_UNDER_WAY,

  /** A value of the store is longer than it may be. */
  VALUE_TOO_LARGE,
}

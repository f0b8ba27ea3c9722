"""What of YARN's protocol for clients knit says and hears: Hadoop 2.10 to 3.5."""

from __future__ import annotations

from knit._cluster.rpc.client import Protocol
from knit._cluster.rpc.schema import Schema

#: What a number means, of enumerations that begin with 1.
APPLICATION_STATES = (
    *("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED"),
    *("RUNNING", "FINISHED", "FAILED", "KILLED"),
)
NODE_STATES = (
    *("NEW", "RUNNING", "UNHEALTHY", "DECOMMISSIONED"),
    *("LOST", "REBOOTED", "DECOMMISSIONING", "SHUTDOWN"),
)
QUEUE_STATES = ("STOPPED", "RUNNING", "DRAINING")
LOG_AGGREGATION = (
    *("DISABLED", "NOT_START", "RUNNING", "SUCCEEDED"),
    *("FAILED", "TIME_OUT", "RUNNING_WITH_FAILURE"),
)
FILE_TYPES = ("ARCHIVE", "FILE", "PATTERN")
VISIBILITIES = ("PUBLIC", "PRIVATE", "APPLICATION")
ACCESS_TYPES = ("VIEW_APP", "MODIFY_APP")
#: This one begins with 0.
FINAL_STATUSES = ("UNDEFINED", "SUCCEEDED", "FAILED", "KILLED", "ENDED")
LIFETIME = 1


def number_of(name: str, among: tuple[str, ...]) -> int:
    """The number of a value, of an enumeration that begins with 1."""
    return among.index(name) + 1


def name_of(number: int, among: tuple[str, ...]) -> str | None:
    """The name of such a value; None for one that was added later."""
    return among[number - 1] if 1 <= number <= len(among) else None


MESSAGES = Schema(
    "yarn",
    """
message ApplicationId {
  optional int32 id = 1;
  optional int64 cluster_timestamp = 2;
}
message AttemptId {
  optional ApplicationId application_id = 1;
  optional int32 id = 2;
}
message ContainerId {
  optional ApplicationId application_id = 1;
  optional AttemptId attempt_id = 2;
  optional int64 id = 3;
}
message NodeId {
  optional string host = 1;
  optional int32 port = 2;
}
message ResourceInformation {
  optional string key = 1;
  optional int64 value = 2;
  optional string units = 3;
}
message Resource {
  optional int64 memory = 1;
  optional int32 vcores = 2;
  repeated ResourceInformation others = 3;
}
message Utilization {
  optional int32 pmem = 1;
  optional int32 vmem = 2;
  optional float cpu = 3;
}
message Priority {
  optional int32 priority = 1;
}
message Url {
  optional string scheme = 1;
  optional string host = 2;
  optional int32 port = 3;
  optional string file = 4;
}
message LocalResource {
  optional Url resource = 1;
  optional int64 size = 2;
  optional int64 timestamp = 3;
  optional int32 type = 4;
  optional int32 visibility = 5;
}
message NamedLocalResource {
  optional string key = 1;
  optional LocalResource value = 2;
}
message Access {
  optional int32 type = 1;
  optional string acl = 2;
}
message NamedNumber {
  optional string key = 1;
  optional int64 value = 2;
}
message LogAggregationContext {
  optional string rolled_logs_include_pattern = 3;
}
message ContainerLaunchContext {
  repeated NamedLocalResource local_resources = 1;
  optional bytes tokens = 2;
  repeated string command = 5;
  repeated Access access = 6;
}
message ResourceRequest {
  optional Priority priority = 1;
  optional string resource_name = 2;
  optional Resource capability = 3;
  optional int32 num_containers = 4;
  optional string node_label = 6;
}
message SubmissionContext {
  optional ApplicationId application_id = 1;
  optional string name = 2;
  optional string queue = 3;
  optional Priority priority = 4;
  optional ContainerLaunchContext container = 5;
  optional bool cancel_tokens_when_complete = 6;
  optional bool unmanaged = 7;
  optional int32 max_attempts = 8;
  optional Resource resource = 9;
  optional string type = 10;
  optional bool keep_containers = 11;
  repeated string tags = 12;
  optional int64 attempt_failures_validity = 13;
  optional LogAggregationContext log_aggregation = 14;
  optional string node_label = 16;
  repeated ResourceRequest requests = 17;
}
message ResourceUsage {
  optional int32 used_containers = 1;
  optional int32 reserved_containers = 2;
  optional Resource used = 3;
  optional Resource reserved = 4;
  optional int64 memory_seconds = 6;
  optional int64 vcore_seconds = 7;
  optional float queue_share = 8;
  optional float cluster_share = 9;
  repeated NamedNumber resource_seconds = 12;
}
message Timeout {
  optional int32 type = 1;
  optional string expire_time = 2;
}
message NamedTimeout {
  optional int32 type = 1;
  optional Timeout timeout = 2;
}
message ApplicationReport {
  optional ApplicationId application_id = 1;
  optional string user = 2;
  optional string queue = 3;
  optional string name = 4;
  optional string host = 5;
  optional int32 rpc_port = 6;
  optional int32 state = 8;
  optional string tracking_url = 9;
  optional string diagnostics = 10;
  optional int64 start_time = 11;
  optional int64 finish_time = 12;
  optional int32 final_status = 13;
  optional ResourceUsage usage = 14;
  optional AttemptId attempt_id = 16;
  optional float progress = 17;
  optional string type = 18;
  repeated string tags = 20;
  optional int32 log_aggregation = 21;
  optional Priority priority = 23;
  optional string node_label = 24;
  optional string am_node_label = 25;
  repeated NamedTimeout timeouts = 26;
  optional int64 launch_time = 27;
}
message AttemptReport {
  optional AttemptId attempt_id = 1;
  optional ContainerId container_id = 7;
}
message NodeAttributeKey {
  optional string prefix = 1;
  optional string name = 2;
}
message NodeAttribute {
  optional NodeAttributeKey key = 1;
  optional string value = 3;
}
message NodeReport {
  optional NodeId id = 1;
  optional string http_address = 2;
  optional string rack = 3;
  optional Resource used = 4;
  optional Resource capability = 5;
  optional int32 containers = 6;
  optional int32 state = 7;
  optional string health_report = 8;
  optional int64 last_health_report = 9;
  repeated string labels = 10;
  optional Utilization utilization = 12;
  repeated NodeAttribute attributes = 15;
}
message NodeLabel {
  optional string name = 1;
}
message ClusterMetrics {
  optional int32 node_managers = 1;
  optional int32 active = 3;
  optional int32 lost = 4;
  optional int32 unhealthy = 5;
}
message QueueStatistics {
  optional int64 running = 2;
  optional int64 pending = 3;
  optional int64 memory_mib = 9;
  optional int64 vcores = 13;
  optional int64 containers = 16;
  optional int64 pending_containers = 17;
}
message QueueConfiguration {
  optional float absolute_capacity = 2;
  optional float absolute_max_capacity = 4;
  optional Resource effective_min = 6;
  optional Resource effective_max = 7;
}
message NamedQueueConfiguration {
  optional string partition = 1;
  optional QueueConfiguration configuration = 2;
}
message QueueInfo {
  optional string name = 1;
  optional float capacity = 2;
  optional float max_capacity = 3;
  optional float used_capacity = 4;
  optional int32 state = 5;
  repeated QueueInfo children = 6;
  repeated string node_labels = 8;
  optional string default_node_label = 9;
  optional QueueStatistics statistics = 10;
  repeated NamedQueueConfiguration configurations = 12;
  optional float weight = 14;
  optional string path = 15;
  optional string scheduler = 17;
  optional int32 fair_min_vcores = 18;
  optional int64 fair_min_memory = 19;
  optional int32 fair_max_vcores = 20;
  optional int64 fair_max_memory = 21;
  optional int32 fair_max_running = 27;
}
message Token {
  optional bytes identifier = 1;
  optional bytes password = 2;
  optional string kind = 3;
  optional string service = 4;
}
message UpdatedTimeout {
  optional int32 type = 1;
  optional string expire_time = 2;
}

message GetNewApplicationRequest { }
message GetNewApplicationResponse {
  optional ApplicationId application_id = 1;
  optional Resource maximum = 2;
}
message SubmitApplicationRequest {
  optional SubmissionContext context = 1;
}
message SubmitApplicationResponse { }
message GetApplicationReportRequest {
  optional ApplicationId application_id = 1;
}
message GetApplicationReportResponse {
  optional ApplicationReport report = 1;
}
message GetApplicationsRequest {
  repeated string types = 1;
  repeated int32 states = 2;
  repeated string users = 3;
  optional int64 start_begin = 6;
  optional int64 start_end = 7;
  optional int64 finish_begin = 8;
  optional int64 finish_end = 9;
  repeated string tags = 10;
  optional string name = 12;
}
message GetApplicationsResponse {
  repeated ApplicationReport applications = 1;
}
message ForceKillApplicationRequest {
  optional ApplicationId application_id = 1;
}
message ForceKillApplicationResponse {
  optional bool is_completed = 1;
}
message GetClusterMetricsRequest { }
message GetClusterMetricsResponse {
  optional ClusterMetrics metrics = 1;
}
message GetClusterNodesRequest {
  repeated int32 states = 1;
}
message GetClusterNodesResponse {
  repeated NodeReport nodes = 1;
}
message GetQueueInfoRequest {
  optional string name = 1;
  optional bool include_applications = 2;
  optional bool include_children = 3;
  optional bool recursive = 4;
}
message GetQueueInfoResponse {
  optional QueueInfo queue = 1;
}
message GetClusterNodeLabelsRequest { }
message GetClusterNodeLabelsResponse {
  repeated string names = 1;
  repeated NodeLabel labels = 2;
}
message GetApplicationAttemptsRequest {
  optional ApplicationId application_id = 1;
}
message GetApplicationAttemptsResponse {
  repeated AttemptReport attempts = 1;
}
message MoveApplicationAcrossQueuesRequest {
  optional ApplicationId application_id = 1;
  optional string queue = 2;
}
message MoveApplicationAcrossQueuesResponse { }
message UpdateApplicationPriorityRequest {
  optional ApplicationId application_id = 1;
  optional Priority priority = 2;
}
message UpdateApplicationPriorityResponse {
  optional Priority priority = 1;
}
message UpdateApplicationTimeoutsRequest {
  optional ApplicationId application_id = 1;
  repeated UpdatedTimeout timeouts = 2;
}
message UpdateApplicationTimeoutsResponse { }
message GetDelegationTokenRequest {
  optional string renewer = 1;
}
message GetDelegationTokenResponse {
  optional Token token = 1;
}
""",
)

PROTOCOL = Protocol(name="org.apache.hadoop.yarn.api.ApplicationClientProtocolPB", schema=MESSAGES)

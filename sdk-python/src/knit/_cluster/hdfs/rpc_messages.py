"""What of HDFS's protocol for clients knit says and hears: Hadoop 2.10 to 3.5."""

from __future__ import annotations

from knit._cluster.rpc.client import Protocol
from knit._cluster.rpc.schema import Schema

IS_DIRECTORY = 1
CREATE, OVERWRITE = 1, 2
"""What may become of a file, as bits."""
UNSET = 2**64 - 1
"""-1, as an unsigned number: a time that is left as it is, a quota that nobody set."""

MESSAGES = Schema(
    "hdfs",
    """
message Permission {
  optional uint32 perm = 1;
}
message FileStatus {
  optional int32 type = 1;
  optional bytes path = 2;
  optional uint64 length = 3;
  optional Permission permission = 4;
  optional string owner = 5;
  optional string group = 6;
  optional uint64 modify_time = 7;
  optional uint64 access_time = 8;
}
message Listing {
  repeated FileStatus entries = 1;
  optional uint32 remaining = 2;
}
message ContentSummary {
  optional uint64 length = 1;
  optional uint64 files = 2;
  optional uint64 directories = 3;
  optional uint64 quota = 4;
  optional uint64 space_consumed = 5;
  optional uint64 space_quota = 6;
}
message DataNodeId {
  optional string address = 1;
  optional string host = 2;
  optional uint32 http_port = 5;
  optional uint32 https_port = 7;
}
message DataNode {
  optional DataNodeId id = 1;
}
message BlockId {
  optional string pool = 1;
  optional uint64 id = 2;
  optional uint64 generation = 3;
  optional uint64 size = 4;
}
message Block {
  optional BlockId id = 1;
  optional uint64 offset = 2;
  repeated DataNode places = 3;
}
message Blocks {
  optional uint64 length = 1;
  repeated Block blocks = 2;
}
message ServerDefaults {
  optional uint64 block_bytes = 1;
  optional uint32 replication = 4;
  optional string key_provider = 9;
}
message Token {
  optional bytes identifier = 1;
  optional bytes password = 2;
  optional string kind = 3;
  optional string service = 4;
}

message GetFileInfoRequest {
  optional string src = 1;
}
message GetFileInfoResponse {
  optional FileStatus status = 1;
}
message GetListingRequest {
  optional string src = 1;
  optional bytes start_after = 2;
  optional bool with_places = 3;
}
message GetListingResponse {
  optional Listing listing = 1;
}
message MkdirsRequest {
  optional string src = 1;
  optional Permission masked = 2;
  optional bool with_parents = 3;
}
message MkdirsResponse {
  optional bool result = 1;
}
message RenameRequest {
  optional string src = 1;
  optional string dst = 2;
}
message RenameResponse {
  optional bool result = 1;
}
message DeleteRequest {
  optional string src = 1;
  optional bool recursive = 2;
}
message DeleteResponse {
  optional bool result = 1;
}
message SetTimesRequest {
  optional string src = 1;
  optional uint64 mtime = 2;
  optional uint64 atime = 3;
}
message SetTimesResponse { }
message SetPermissionRequest {
  optional string src = 1;
  optional Permission permission = 2;
}
message SetPermissionResponse { }
message GetContentSummaryRequest {
  optional string src = 1;
}
message GetContentSummaryResponse {
  optional ContentSummary summary = 1;
}
message CheckAccessRequest {
  optional string src = 1;
  optional int32 mode = 2;
}
message CheckAccessResponse { }
message CreateRequest {
  optional string src = 1;
  optional Permission masked = 2;
  optional string client = 3;
  optional uint32 flags = 4;
  optional bool with_parents = 5;
  optional uint32 replication = 6;
  optional uint64 block_bytes = 7;
}
message CreateResponse {
  optional CreatedFile file = 1;
}
message CreatedFile {
  optional uint64 id = 13;
}
message AddBlockRequest {
  optional string src = 1;
  optional string client = 2;
  repeated DataNode excluded = 4;
  optional uint64 file_id = 5;
}
message AddBlockResponse {
  optional Block block = 1;
}
message AbandonBlockRequest {
  optional BlockId block = 1;
  optional string src = 2;
  optional string client = 3;
  optional uint64 file_id = 4;
}
message AbandonBlockResponse { }
message CompleteRequest {
  optional string src = 1;
  optional string client = 2;
  optional uint64 file_id = 4;
}
message CompleteResponse {
  optional bool result = 1;
}
message GetBlockLocationsRequest {
  optional string src = 1;
  optional uint64 offset = 2;
  optional uint64 length = 3;
}
message GetBlockLocationsResponse {
  optional Blocks blocks = 1;
}
message GetServerDefaultsRequest { }
message GetServerDefaultsResponse {
  optional ServerDefaults defaults = 1;
}
message GetDelegationTokenRequest {
  optional string renewer = 1;
}
message GetDelegationTokenResponse {
  optional Token token = 1;
}
message CancelDelegationTokenRequest {
  optional Token token = 1;
}
message CancelDelegationTokenResponse { }
""",
)

PROTOCOL = Protocol(name="org.apache.hadoop.hdfs.protocol.ClientProtocol", schema=MESSAGES)

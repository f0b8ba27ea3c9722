// One application, by what `knit credentials` has saved. Nothing here is special to one program: take it as it is.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createClient, type Client } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { ApplicationService } from "./gen/knit/v1/application_service_pb.js";
import { ContainerService } from "./gen/knit/v1/container_service_pb.js";
import { EventService } from "./gen/knit/v1/event_service_pb.js";
import { KeyValueService } from "./gen/knit/v1/key_value_service_pb.js";
import { LogService } from "./gen/knit/v1/log_service_pb.js";

/** Long enough for a busy Application Master; streams have none. */
const CALL_TIMEOUT_MS = 30_000;

export interface Application {
  application: Client<typeof ApplicationService>;
  containers: Client<typeof ContainerService>;
  events: Client<typeof EventService>;
  keyValues: Client<typeof KeyValueService>;
  logs: Client<typeof LogService>;
  /** Ends the connection, and with it what is under way. */
  close(): void;
}

/** Clients for the application whose address and certificates lie in `directory`. No connection is made before the first call. */
export function connect(directory: string): Application {
  const saved = (name: string) => readFileSync(join(directory, name));
  const baseUrl = `https://${saved("address").toString().trim()}`;
  // A network that is gone is noticed.
  const pings = { pingIntervalMs: 30_000 };
  const sessionManager = new Http2SessionManager(baseUrl, pings, {
    ca: saved("ca.pem"),
    cert: saved("cert.pem"),
    key: saved("key.pem"),
    // The certificate names the Application Master, not the node that it happens to run on.
    servername: saved("server_name").toString().trim(),
  });
  const transport = createGrpcTransport({ baseUrl, sessionManager, defaultTimeoutMs: CALL_TIMEOUT_MS });
  return {
    application: createClient(ApplicationService, transport),
    containers: createClient(ContainerService, transport),
    events: createClient(EventService, transport),
    keyValues: createClient(KeyValueService, transport),
    logs: createClient(LogService, transport),
    close: () => sessionManager.abort(),
  };
}

/** For streams, which end when the application does. */
export const withoutEnd = { timeoutMs: 0 };

// A client of knit's contract that owes nothing to the Python SDK: it lists an application's
// containers and follows their logs to the end.
//
//     node client.mjs DIRECTORY PROTO
//
// DIRECTORY is what `knit credentials` has written, PROTO the directory in which knit/v1/*.proto
// lie. Containers are printed first, then the log lines of each container as they arrive.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [directory, proto] = process.argv.slice(2);
const saved = (name) => readFileSync(join(directory, name));

const services = ["container_service", "log_service"].map((name) => `knit/v1/${name}.proto`);
// longs as numbers: offsets are below 2^53.
const definition = loader.loadSync(services, { includeDirs: [proto], longs: Number, enums: String, defaults: true });
const { knit } = grpc.loadPackageDefinition(definition);

const credentials = grpc.credentials.createSsl(saved("ca.pem"), saved("key.pem"), saved("cert.pem"));
const options = {
  // The certificate names the Application Master, not the node that it happens to run on.
  "grpc.ssl_target_name_override": saved("server_name").toString(),
  "grpc.enable_http_proxy": 0,
  "grpc.max_receive_message_length": 16 * 1024 * 1024,
};
const address = saved("address").toString();
const containers = new knit.v1.ContainerService(address, credentials, options);
const logs = new knit.v1.LogService(address, credentials, options);
const deadline = () => ({ deadline: Date.now() + 60_000 });

/** All containers, a page at a time. */
async function* listContainers() {
  let pageToken = "";
  do {
    const page = await new Promise((resolve, reject) =>
      containers.ListContainers({ pageToken }, deadline(), (error, answer) => (error ? reject(error) : resolve(answer))),
    );
    yield* page.containers;
    pageToken = page.nextPageToken ?? "";
  } while (pageToken !== "");
}

for await (const each of listContainers()) {
  console.log(`container ${each.serviceName} ${each.rank} ${each.containerId} ${each.state}`);
}

const unfinished = new Map();
for await (const item of logs.StreamLogs({ follow: true, fileNames: ["stdout"] })) {
  if (item.chunk) {
    const { serviceName, rank, containerId, data } = item.chunk;
    const lines = Buffer.concat([unfinished.get(containerId) ?? Buffer.alloc(0), data]).toString().split("\n");
    unfinished.set(containerId, Buffer.from(lines.pop()));
    for (const line of lines) console.log(`log ${serviceName} ${rank} ${line}`);
  } else if (item.end) {
    const { serviceName, rank, offsetBytes } = item.end;
    console.log(`end ${serviceName} ${rank} ${offsetBytes}`);
  }
}

containers.close();
logs.close();

// A client of knit's contract that owes nothing to the Python SDK.
//
//     node dist/main.js DIRECTORY [COMMAND [ARGUMENT...]]
//
// DIRECTORY is what `knit credentials` has written. Commands:
//
//     list                    containers, a line each
//     logs                    standard output of all containers, line by line, to the end
//     scale SERVICE COUNT     has the service have so many containers
//     events                  what changes of services and containers, to the application's end
//     put KEY VALUE           writes a key
//     watch PREFIX COUNT      what is written and deleted below a prefix, until so many keys were
//     shutdown                ends the application as SUCCEEDED
//
// Without a command: list, then logs.
import { randomUUID } from "node:crypto";
import { connect, withoutEnd, type Application } from "./application.js";
import { FinalStatus } from "./gen/knit/v1/application_pb.js";
import { ContainerState } from "./gen/knit/v1/container_pb.js";
import { EventKind } from "./gen/knit/v1/event_service_pb.js";
import { ServiceCondition } from "./gen/knit/v1/service_pb.js";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (words: string) => new TextEncoder().encode(words);

async function list({ containers }: Application): Promise<void> {
  let pageToken = "";
  do {
    const page = await containers.listContainers({ pageToken });
    for (const each of page.containers) {
      console.log(`container ${each.serviceName} ${each.rank} ${each.containerId} ${ContainerState[each.state]}`);
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

async function logs(app: Application): Promise<void> {
  const unfinished = new Map<string, Uint8Array>();
  for await (const { item } of app.logs.streamLogs({ follow: true, fileNames: ["stdout"] }, withoutEnd)) {
    if (item.case === "chunk") {
      const { serviceName, rank, containerId, data } = item.value;
      const lines = Buffer.concat([unfinished.get(containerId) ?? new Uint8Array(), data]).toString().split("\n");
      unfinished.set(containerId, Buffer.from(lines.pop() ?? ""));
      for (const line of lines) console.log(`log ${serviceName} ${rank} ${line}`);
    } else if (item.case === "end") {
      const { serviceName, rank, offsetBytes, incompleteReason } = item.value;
      if (incompleteReason !== "") throw new Error(`stdout of ${serviceName} ${rank} is incomplete: ${incompleteReason}`);
      console.log(`end ${serviceName} ${rank} ${offsetBytes}`);
    }
  }
}

async function scale({ application }: Application, serviceName: string, count: number): Promise<void> {
  // With an identifier of the wish, so that repeating the call after a broken connection does it once.
  const amount = { case: "count", value: count } as const;
  const { service } = await application.scaleService({ serviceName, amount, requestId: randomUUID() });
  console.log(`service ${service?.name} target ${service?.target}`);
}

async function events(app: Application): Promise<void> {
  const kinds = [EventKind.APPLICATION, EventKind.SERVICE, EventKind.CONTAINER];
  for await (const { item } of app.events.watchEvents({ kinds }, withoutEnd)) {
    if (item.case === "position") console.log(`position ${item.value.sequence}`);
    if (item.case !== "event") continue;
    for (const { record } of item.value.changes) {
      if (record.case === "service") {
        console.log(`event service ${record.value.name} ${ServiceCondition[record.value.condition]} target ${record.value.target}`);
      } else if (record.case === "container") {
        console.log(`event container ${record.value.serviceName} ${record.value.rank} ${ContainerState[record.value.state]}`);
      }
    }
  }
}

async function put({ keyValues }: Application, key: string, value: string): Promise<void> {
  const operation = { key: bytes(key), value: bytes(value) };
  const { revision } = await keyValues.put({ put: operation, requestId: randomUUID() });
  console.log(`revision ${revision}`);
}

async function watch(app: Application, prefix: string, count: number): Promise<void> {
  const keyRanges = [{ prefix: bytes(prefix) }];
  let seen = 0;
  for await (const { item } of app.events.watchEvents({ kinds: [EventKind.KEY], keyRanges, withValues: true }, withoutEnd)) {
    if (item.case === "position" && seen === 0) console.log(`watching after ${item.value.sequence}`);
    if (item.case !== "event") continue;
    for (const { record } of item.value.changes) {
      if (record.case !== "key") continue;
      const { key, current } = record.value;
      console.log(current ? `put ${text(key)} ${text(current.value)}` : `deleted ${text(key)}`);
      seen += 1;
    }
    if (seen >= count) return;
  }
}

async function shutdown({ application }: Application): Promise<void> {
  const { outcome } = await application.shutdown({ finalStatus: FinalStatus.SUCCEEDED });
  console.log(`outcome ${FinalStatus[outcome?.finalStatus ?? FinalStatus.UNSPECIFIED]}`);
}

async function run(app: Application, command: string, first: string, second: string): Promise<void> {
  switch (command) {
    case "":
      await list(app);
      return logs(app);
    case "list":
      return list(app);
    case "logs":
      return logs(app);
    case "scale":
      return scale(app, first, Number(second));
    case "events":
      return events(app);
    case "put":
      return put(app, first, second);
    case "watch":
      return watch(app, first, Number(second));
    case "shutdown":
      return shutdown(app);
    default:
      throw new Error(`there is no command '${command}'`);
  }
}

const [directory = ".", command = "", first = "", second = ""] = process.argv.slice(2);
const app = connect(directory);
try {
  await run(app, command, first, second);
} catch (error) {
  console.error(`node-client: ${error}`);
  process.exitCode = 1;
} finally {
  app.close();
}

// A central system on ocpp-rpc with strict validation; ../foreign.py describes its lines.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { RPCServer } from "ocpp-rpc";

const { version } = createRequire(import.meta.url)("ocpp-rpc/package.json");
const port = Number(process.argv[2]);
const secure = process.argv[3] !== "plain";
const stations = new Map();
let transactions = 0;

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const answers = {
  Authorize: () => ({ idTagInfo: { status: "Accepted" } }),
  BootNotification: () => ({ status: "Accepted", currentTime: new Date().toISOString(), interval: 300 }),
  DataTransfer: ({ data }) => ({ status: "Accepted", data }),
  DiagnosticsStatusNotification: () => ({}),
  FirmwareStatusNotification: () => ({}),
  Heartbeat: () => ({ currentTime: new Date().toISOString() }),
  MeterValues: () => ({}),
  StartTransaction: () => ({ idTagInfo: { status: "Accepted" }, transactionId: ++transactions }),
  StatusNotification: () => ({}),
  StopTransaction: () => ({ idTagInfo: { status: "Accepted" } }),
};

const securityAnswers = {
  LogStatusNotification: () => ({}),
  SecurityEventNotification: () => ({}),
  SignCertificate: () => ({ status: "Accepted" }),
  SignedFirmwareStatusNotification: () => ({}),
};

const server = new RPCServer({ protocols: ["ocpp1.6"], strictMode: true });

server.on("client", (client) => {
  stations.set(client.identity, client);
  say({ event: "connected", cp: client.identity, subprotocol: client.protocol });
  for (const [action, answer] of Object.entries(secure ? { ...answers, ...securityAnswers } : answers)) {
    client.handle(action, ({ params }) => {
      say({ event: "request", action, payload: params });
      return answer(params);
    });
  }
  client.on("strictValidationFailure", ({ method, error }) => say({ event: "invalid", message: `${method}: ${error.message}` }));
  client.on("badMessage", ({ error }) => say({ event: "invalid", message: error.message }));
  client.on("close", () => say({ event: "disconnected", cp: client.identity }));
});

createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const { cp, call, payload } = JSON.parse(line);
    try {
      say({ ok: true, result: await stations.get(cp).call(call, payload) });
    } catch (error) {
      say({ ok: false, error: error.rpcErrorCode ?? error.name, message: error.message });
    }
  })
  .on("close", () => process.exit(0));

await server.listen(port, "127.0.0.1");
say({ event: "ready", url: `ws://127.0.0.1:${port}`, library: "ocpp-rpc", version });

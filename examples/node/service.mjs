// A service in Node: opens an account, pays in, and tells what it sees: the outcomes of its
// commands, the events that came of them, and the balance, one JSON object a line.
//
//     LEDGER_NATS_URL=$(ledgerctl bus url) node service.mjs
//
// It knows the ledger by its contract only: docs/services.md and docs/schemas. On a server with
// users the sender is the user's name, and so is the beginning of its inboxes.

import { randomUUID } from "node:crypto";
import { connect, createInbox, headers, JSONCodec } from "nats";

const json = JSONCodec();
const tell = (kind, what) => console.log(JSON.stringify({ kind, ...what }));

// The embedded server asks for a token, which is the user of its URL.
const url = new URL(process.env.LEDGER_NATS_URL);
const nats = await connect({
  servers: url.host,
  token: decodeURIComponent(url.username) || undefined,
  name: "node-example",
});
const jetstream = nats.jetstream();

const sender = "node-example";
const classes = { OpenAccount: "admin", Deposit: "money", Withdraw: "money" };

// Sends a command and waits for its outcome, which the ledger publishes to the inbox.
async function submit(type, account, data) {
  const inbox = createInbox();
  const outcomes = nats.subscribe(inbox, { max: 1 });
  const replyTo = headers();
  replyTo.set("Ledger-Reply-To", inbox);
  const command = {
    specversion: "1.0",
    id: randomUUID(),
    source: "node-example",
    type,
    subject: account,
    time: new Date().toISOString(),
    data,
  };
  const subject = `ledger.commands.${account}.${classes[type]}.${sender}`;
  await jetstream.publish(subject, json.encode(command), { headers: replyTo });
  for await (const message of outcomes) {
    const outcome = json.decode(message.data);
    tell("outcome", outcome);
    return outcome;
  }
}

const account = randomUUID();
await submit("OpenAccount", account, {
  account_id: account,
  user_id: randomUUID(),
  exchange: "BINANCE",
  name: "node",
  account_type: "CASH",
  environment: "PAPER",
  base_currency: "USDT",
});
await submit("Deposit", account, { asset: "USDT", amount: "100.000000000000000001" });
const last = await submit("Withdraw", account, { asset: "USDT", amount: "0.1" });
await submit("Withdraw", account, { asset: "USDT", amount: "1000000" }); // refused, with a code

// The account's events, in order, from the first that the stream keeps.
const consumer = await jetstream.consumers.get("LEDGER_EVENTS", {
  filterSubjects: [`ledger.events.*.*.${account}`],
});
const events = await consumer.consume();
for await (const message of events) {
  const event = json.decode(message.data);
  tell("event", event);
  if (event.position >= last.position) break;
}

// The balance, as of a position at which the last withdrawal shows.
const question = { account_id: account, min_position: last.position };
const answer = await nats.request("ledger.query.balances", json.encode(question), {
  timeout: 10_000,
});
tell("balances", json.decode(answer.data));

await nats.drain();

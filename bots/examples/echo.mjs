// A bot in JavaScript: says again what it was told. Node 18 or later; npm install amqplib
//   WARREN_AMQP_URL=amqp://bot.echo:…@localhost WARREN_ECHO_ROOMS=general node echo.mjs
import amqp from "amqplib";

const url = process.env.WARREN_AMQP_URL;
const me = decodeURIComponent(new URL(url).username); // bot.echo: the login, the user id and the queue
const connection = await amqp.connect(url);
connection.on("close", () => process.exit(1)); // whoever runs it starts it again: what was not acked comes again
const channel = await connection.createConfirmChannel();
await channel.prefetch(50);

// The broker vouches for userId; one key is stored once, however often it comes.
async function command(room, fields) {
  const body = { commands: [{ id: fields.key, room, sender: me, name: "Echo", ...fields }] };
  const properties = { userId: me, persistent: true, mandatory: true };
  channel.publish("warren.bots", "", Buffer.from(JSON.stringify(body)), properties);
  await channel.waitForConfirms();
}

async function handle(message) {
  const { room, events } = JSON.parse(message.content);
  for (const event of events)
    if (event.type === "message" && !event.sender.startsWith("bot."))
      await command(room, { type: "send", key: `echo.${event.seq}`, text: event.text, reply_to: event.seq });
  channel.ack(message);
}

for (const room of (process.env.WARREN_ECHO_ROOMS ?? "general").split(","))
  await command(room, { type: "join", key: `join.${Date.now()}` });
let last = Promise.resolve();
await channel.consume(me, (message) => (last = last.then(() => handle(message))));
console.log(`${me} at work`);

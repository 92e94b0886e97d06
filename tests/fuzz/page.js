// Clients in a page, one after the other, each played to by a server of its own.
import { WarrenClient } from "/client.js";

const clients = new Map();

/** Begin a conversation with what the server plays under this number. */
globalThis.begin = (number, transports) => {
  const kept = new Map();
  const storage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, text) => kept.set(name, text) };
  const client = new WarrenClient({ gateways: [`${location.origin}/${number}`], token: async () => "t", storage, transports });
  const seen = new Set();
  clients.set(number, { client, seen });
  client.addEventListener("events", ({ detail }) => detail.room === "a" && detail.events.forEach(({ text }) => seen.add(text)));
  client.watch("a", () => {});
  client.follow(["a", "b"]);
  client.send("a", "said while it lies");
  client.history("a").catch(() => {});
  client.api.rooms().catch(() => {});
  client.report("away");
};

/** Is there anything that speaks against it, now that the server is good? "" if a message goes out and comes back in time. */
globalThis.finish = async (number, withinMs) => {
  const { client, seen } = clients.get(number);
  const until = Date.now() + withinMs;
  const text = `good ${number}`;
  let key;
  client.follow([]); // whom it denied a room does not ask for that again by itself
  client.follow(["a", "b"]);
  while (Date.now() < until) {
    client.reconnect(); // as somebody who clicks "try again"
    if (client.state === "stopped") client.start();
    if (client.isJoined("a")) {
      client.typing("a");
      key ??= client.send("a", text);
    }
    const isOut = client.outbox.next(client.user?.id ?? "").every((entry) => entry.key !== key);
    if (key && isOut && seen.has(text)) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const isRight = key && seen.has(text);
  const how = `${client.state}, ${client.transport}, joined ${client.isJoined("a")}, as ${client.user?.id}: said ${key !== undefined}, shown ${seen.has(text)}`;
  client.stop();
  clients.delete(number);
  return isRight ? "" : how;
};

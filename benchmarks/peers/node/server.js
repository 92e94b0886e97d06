// A chat server as the documentation of socket.io and of the MongoDB driver would have it: one process, rooms in
// memory; a message is stored by a majority before it is emitted, and emitted before it is acked.
import { createServer } from "node:http";
import { MongoClient } from "mongodb";
import { Server } from "socket.io";

const mongo = new MongoClient(process.env.PEER_MONGO_URL, { writeConcern: { w: "majority" } });
await mongo.connect();
const messages = mongo.db().collection("messages");

const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });

io.on("connection", (socket) => {
  socket.on("join", async (room, ack) => {
    await socket.join(room);
    ack({ room });
  });
  socket.on("send", async ({ room, key, text }, ack) => {
    const sent = new Date();
    const sender = socket.id;
    try {
      const { insertedId } = await messages.insertOne({ room, key, sender, text, sent });
      io.to(room).emit("message", { id: insertedId.toHexString(), room, key, sender, text, sent });
      ack({ id: insertedId.toHexString() });
    } catch (error) {
      ack({ error: String(error) });
    }
  });
});

http.listen(Number(process.env.PEER_PORT), "127.0.0.1");

process.on("SIGTERM", async () => {
  await io.close();
  await mongo.close();
  process.exit(0);
});

// MQTT.js, the client of browsers and Node, over TCP and over WebSocket.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import mqtt from "mqtt";
import { Device, Resources } from "@tago-io/sdk";

const resources = new Resources({ token: process.env.PROFILE_TOKEN });
const opened = [];
after(async () => {
  await Promise.allSettled(opened.map((client) => client.endAsync(true)));
  await Promise.allSettled(devices.map((id) => resources.devices.delete(id)));
});

const devices = [];
const newDevice = async () => {
  const { device_id, token } = await resources.devices.create({ name: "MQTT.js", type: "mutable" });
  devices.push(device_id);
  return token;
};

const connect = async (url, token, options = {}) => {
  const client = await mqtt.connectAsync(url, { username: "Token", password: token, reconnectPeriod: 0, connectTimeout: 5_000, ...options });
  opened.push(client);
  client.received = [];
  client.waiting = [];
  client.on("message", (topic, payload, packet) => {
    const found = { topic, text: payload.toString(), qos: packet.qos, retain: packet.retain, properties: packet.properties };
    const next = client.waiting.shift();
    next ? next(found) : client.received.push(found);
  });
  client.next = () =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no message came")), 10_000);
      const give = (found) => (clearTimeout(timer), resolve(found));
      client.received.length ? give(client.received.shift()) : client.waiting.push(give);
    });
  return client;
};

for (const url of [process.env.MQTT_URL, process.env.MQTT_WEBSOCKET_URL]) {
  for (const protocolVersion of [4, 5]) {
    const name = `${url.split(":")[0]}, version ${protocolVersion}`;

    test(`${name}: points are stored, and messages of each QoS delivered`, async () => {
      const token = await newDevice();
      const client = await connect(url, token, { protocolVersion });
      await client.publishAsync("tago/data/post", JSON.stringify({ variable: "temperature", value: 21.5, unit: "C" }), { qos: 1 });
      const [point] = await new Device({ token }).getData({ qty: 1 });
      assert.deepEqual([point.variable, point.value, point.unit], ["temperature", 21.5, "C"]);
      await client.subscribeAsync("a/#", { qos: 2 });
      for (const qos of [0, 1, 2]) {
        await client.publishAsync("a/b", `qos ${qos}`, { qos });
        const found = await client.next();
        assert.deepEqual([found.topic, found.text, found.qos], ["a/b", `qos ${qos}`, qos]);
      }
      const long = "x".repeat(100_000);
      await client.publishAsync("a/long", long, { qos: 1 });
      assert.equal((await client.next()).text, long);
      await client.unsubscribeAsync("a/#");
    });

    test(`${name}: retained messages and wills`, async () => {
      const token = await newDevice();
      const sender = await connect(url, token, { protocolVersion, clientId: "sender", will: { topic: "state", payload: Buffer.from("offline"), qos: 1, retain: true } });
      await sender.publishAsync("state", "online", { qos: 1, retain: true });
      const listener = await connect(url, token, { protocolVersion, clientId: "listener" });
      await listener.subscribeAsync("state", { qos: 1 });
      const first = await listener.next();
      assert.deepEqual([first.text, first.retain], ["online", true]);
      sender.stream.destroy();
      const last = await listener.next();
      assert.deepEqual([last.text, last.retain], ["offline", false]);
    });

    test(`${name}: a session is kept`, async () => {
      const token = await newDevice();
      const options = { protocolVersion, clientId: "kept", clean: false, ...(protocolVersion === 5 && { properties: { sessionExpiryInterval: 300 } }) };
      const first = await connect(url, token, options);
      await first.subscribeAsync("a", { qos: 2 });
      await first.endAsync();
      const sender = await connect(url, token, { protocolVersion });
      for (const qos of [1, 2]) await sender.publishAsync("a", `missed ${qos}`, { qos });
      const again = mqtt.connect(url, { username: "Token", password: token, reconnectPeriod: 0, ...options });
      opened.push(again);
      const found = [];
      await new Promise((resolve, reject) => {
        again.on("error", reject);
        again.on("message", (_, payload) => found.push(payload.toString()) === 2 && resolve());
        setTimeout(() => reject(new Error(`only ${found}`)), 10_000).unref();
      });
      assert.deepEqual(found, ["missed 1", "missed 2"]);
    });
  }

  test(`${url.split(":")[0]}: properties of version 5`, async () => {
    const token = await newDevice();
    const client = await connect(url, token, { protocolVersion: 5 });
    await client.subscribeAsync("questions", { qos: 1, properties: { subscriptionIdentifier: 7 } });
    const properties = { responseTopic: "answers", correlationData: Buffer.from([0, 255]), contentType: "text/plain", userProperties: { key: "value" } };
    await client.publishAsync("questions", "?", { qos: 1, properties });
    const found = await client.next();
    assert.equal(found.properties.responseTopic, "answers");
    assert.deepEqual([...found.properties.correlationData], [0, 255]);
    assert.equal(found.properties.userProperties.key, "value");
    assert.equal(found.properties.subscriptionIdentifier, 7);
  });

  test(`${url.split(":")[0]}: a wrong password is refused`, async () => {
    for (const protocolVersion of [4, 5]) {
      await assert.rejects(connect(url, "00000000-0000-4000-8000-000000000000", { protocolVersion }), /[Nn]ot authorized|Bad User/);
    }
  });
}

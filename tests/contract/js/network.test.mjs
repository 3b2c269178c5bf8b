// TagoIO's own JavaScript client: tokens of networks, what a network does with one, and service authorizations.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Authorization, Device, Network, Resources, Utils } from "@tago-io/sdk";

const resources = new Resources({ token: process.env.PROFILE_TOKEN });
const { devices, integration, serviceAuthorization } = resources;
const denied = /Authorization Denied/;

const leftovers = [];
after(() => Promise.allSettled(leftovers.map((remove) => remove())));

const made = async (more = {}) => {
  const { network } = await integration.networks.create({ name: "JavaScript", require_devices_access: true, ...more });
  const { connector } = await integration.connectors.create({ name: "JavaScript", networks: [network] });
  const { token } = await integration.networks.tokenCreate(network, { name: "Relay", permission: "full" });
  const device = await devices.create({ name: "JavaScript", type: "mutable", network, connector, serie_number: `JS-${network}` });
  leftovers.push(() => integration.networks.delete(network), () => integration.connectors.delete(connector), () => devices.delete(device.device_id));
  return { network, connector, token, device, serial: `JS-${network}` };
};

test("tokens of a network", async () => {
  const { network, token } = await made();
  assert.match(token, /^n-/);
  const created = await integration.networks.tokenCreate(network, { name: "Second", permission: "read" });
  assert.deepEqual([created.name, created.network], ["Second", network]);
  const listed = await integration.networks.tokenList(network);
  assert.deepEqual(listed.map((one) => one.token).sort(), [created.token, token].sort());
  assert.deepEqual(Object.keys(listed[0]).sort(), ["name", "permission", "token"]);
  assert.equal(await integration.networks.tokenDelete(token), "Token Successfully Removed");
  await assert.rejects(new Network({ token }).info(), denied);
  assert.equal(await integration.networks.delete(network), "Successfully Removed");
  await assert.rejects(new Network({ token: created.token }).info(), denied);
});

test("a network describes itself, resolves serial numbers and lists devices", async () => {
  const { network, connector, token, device, serial } = await made();
  const own = new Network({ token });
  assert.equal((await own.info()).id, network);
  assert.equal((await new Network({ token, details: true }).info()).require_devices_access, true);
  assert.equal(await own.resolveToken(serial), device.token);
  assert.equal((await new Device({ token: await own.resolveToken(serial) }).info()).network, network);
  await assert.rejects(own.resolveToken("unknown"), /Serial number not found/);
  const [row] = await own.deviceList(connector, { orderBy: ["created_at", "desc"], amount: 5 });
  assert.deepEqual([row.id, row.token], [device.device_id, device.token]);
  assert.ok(row.created_at instanceof Date);
});

test("a network sets parameters and needs a middleware to publish", async () => {
  const { token, device } = await made();
  const own = new Network({ token });
  const done = "Device Configuration Parameter Updated";
  assert.equal(await own.deviceParamSet(device.device_id, { key: "a", value: "1", sent: false }), done);
  const [param] = await devices.paramList(device.device_id);
  assert.equal(await own.deviceParamSet(device.device_id, { value: "2" }, param.id), done);
  assert.equal((await devices.paramList(device.device_id))[0].value, "2");
  const sent = { topic: "a/b", message: "on", qos: 0, retain: false, device: device.device_id };
  await assert.rejects(own.publishToRelay(sent), /no middleware_endpoint/);
  const local = new Network({ token: (await made({ middleware_endpoint: "127.0.0.1" })).token });
  await assert.rejects(local.publishToRelay(sent), /not found/);
});

test("a service authorization opens its profile to a network", async () => {
  const { token, device, serial } = await made();
  const { token: authorization } = await serviceAuthorization.tokenCreate({ name: "JavaScript", permission: "full" });
  assert.match(authorization, /^at[0-9a-f]{32}$/);
  assert.equal((await new Authorization({ token: authorization }).info()).name, "JavaScript");
  assert.equal(await new Network({ token }).resolveToken(serial, authorization), device.token);
  const [used] = await devices.tokenList(device.device_id, { fields: ["name", "serie_number", "last_authorization"] });
  assert.deepEqual([used.serie_number, used.last_authorization], [serial, authorization]);
  const downlink = { payload: "01", port: 1 };
  await assert.rejects(Utils.sendDownlink(resources, device.device_id, downlink), /doesn't support downlinks/);
  assert.equal(await serviceAuthorization.tokenDelete(authorization), "Token Successfully Removed");
  await assert.rejects(new Network({ token }).resolveToken(serial, authorization), denied);
});

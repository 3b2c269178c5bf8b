// TagoIO's own JavaScript client: connectors and networks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Resources } from "@tago-io/sdk";

const { devices, integration } = new Resources({ token: process.env.PROFILE_TOKEN });
const { connectors, networks } = integration;
const decoder = Buffer.from("payload = [];").toString("base64");

test("networks", async () => {
  const sent = { name: "JavaScript radio", description: "d", payload_decoder: decoder, serial_number: { mask: "FF-FF", case: "upper", required: true } };
  const { network } = await networks.create(sent);
  assert.deepEqual(await networks.info(network), { id: network, name: sent.name });
  const found = await networks.info(network, ["serial_number", "payload_decoder", "public"]);
  assert.deepEqual(found, { id: network, serial_number: sent.serial_number, payload_decoder: decoder, public: false });
  assert.ok((await networks.list({ amount: 100 })).some((one) => one.name === "Custom HTTPS"));
  assert.deepEqual(await networks.list({ filter: { public: true, name: "JavaScript*" } }), [{ id: network, name: sent.name }]);
  assert.equal(await networks.edit(network, { name: "Other" }), "Network Successfully Updated");
  assert.equal((await networks.info(network)).name, "Other");
  assert.equal(await networks.delete(network), "Successfully Removed");
  await assert.rejects(networks.info(network), /Network not found/);
});

test("connectors, and what a device gets from them", async () => {
  const { network } = await networks.create({ name: "Radio", serial_number: { mask: "FF-FF", case: "upper" } });
  const unit = { name: "unit", label: "Unit", type: "dropdown", default: "C", group: "main", options: ["C", "F"] };
  const sent = { name: "JavaScript sensor", networks: [network], device_parameters: [unit], payload_decoder: decoder };
  const { connector } = await connectors.create(sent);
  const found = await connectors.info(connector);
  assert.deepEqual([found.networks, found.device_parameters, found.payload_decoder, found.public], [[network], [unit], decoder, false]);
  assert.ok(found.created_at instanceof Date && typeof found.profile === "string");
  assert.deepEqual(await connectors.info(connector, ["name"]), { id: connector, name: sent.name });
  assert.deepEqual(await connectors.list({ filter: { public: true } }), [{ id: connector, name: sent.name }]);
  const { device_id } = await devices.create({ name: "Sensor", type: "mutable", connector, network, serie_number: "ab-12" });
  const [param] = await devices.paramList(device_id);
  assert.deepEqual([param.key, param.value, param.sent], ["unit", "C", false]);
  const [row] = await devices.list({ filter: { id: device_id }, resolveConnectorName: true, serial: "AB12" });
  assert.equal(row.connector_name, sent.name);
  assert.equal(await connectors.edit(connector, { description: "d" }), "Connector Successfully Updated");
  assert.equal(await connectors.delete(connector), "Connector Successfully Deleted");
  await networks.delete(network);
  assert.equal((await devices.info(device_id)).connector, connector);
});

// TagoIO's own JavaScript client: access management, analyses and run users.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Resources } from "@tago-io/sdk";

const { accessManagement, analysis, devices, run } = new Resources({ token: process.env.PROFILE_TOKEN });
const device = async (name, tags) => (await devices.create({ name, type: "mutable", tags })).device_id;
const allow = (action, resource) => ({ effect: "allow", action, resource });
const denied = /Authorization Denied/;

test("policies", async () => {
  const sent = { name: "JavaScript", permissions: [allow(["access"], ["device"])], targets: [["analysis", "tag_match", "k"]], tags: [{ key: "by", value: "js" }] };
  const { am_id } = await accessManagement.create(sent);
  const found = await accessManagement.info(am_id);
  assert.deepEqual([found.permissions, found.targets, found.active], [sent.permissions, sent.targets, true]);
  assert.ok(found.created_at instanceof Date);
  const [row] = await accessManagement.list({ filter: { tags: [{ key: "by", value: "js" }] } });
  assert.deepEqual([row.id, row.name, row.tags], [am_id, "JavaScript", sent.tags]);
  assert.equal(await accessManagement.edit(am_id, { targets: [] }), "Access Management Successfully Updated");
  assert.equal(await accessManagement.delete(am_id), "Successfully Removed");
});

test("an analysis does what its policies allow", async () => {
  const mine = await device("For JavaScript", [{ key: "by", value: "js" }]);
  const other = await device("Not for JavaScript", []);
  const made = await analysis.create({ name: "JavaScript", runtime: "node-rt2025" });
  const resource = ["device", "tag.key", "by", "tag.value", "js"];
  await accessManagement.create({ name: "JS", permissions: [allow(["access", "send_data", "get_data"], resource)], targets: [["analysis", "id", made.id]] });
  const own = new Resources({ token: made.token });
  assert.deepEqual((await own.devices.list()).map((one) => one.id), [mine]);
  assert.equal(await own.devices.sendDeviceData(mine, { variable: "a", value: 1 }), "1 Data Added");
  assert.equal((await own.devices.getDeviceData(mine))[0].value, 1);
  await assert.rejects(own.devices.info(other), denied);
  await assert.rejects(own.devices.deleteDeviceData(mine), denied);
  assert.ok((await analysis.list({ amount: 100 })).some((one) => one.id === made.id));
  assert.equal((await analysis.info(made.id)).token, made.token);
  assert.equal((await analysis.tokenGenerate(made.id)).analysis_token, made.token);
  await assert.rejects(analysis.run(made.id), /Decant runs no analyses/);
  assert.equal(await analysis.edit(made.id, { active: false }), "Successfully Updated");
  await assert.rejects(own.devices.list(), denied);
  assert.equal(await analysis.delete(made.id), "Successfully Removed");
});

test("a run user sees what its policies allow", async () => {
  const seen = await device("Shared by JavaScript", []);
  const { user } = await run.userCreate({ name: "Bob", email: "bob@example.org", password: "secret12", timezone: "UTC", active: true });
  await accessManagement.create({ name: "Bob", permissions: [allow(["access"], ["device", "id", seen])], targets: [["run_user", "id", user]] });
  const { token } = await run.loginAsUser(user);
  const own = new Resources({ token });
  assert.deepEqual((await own.devices.list()).map((one) => one.id), [seen]);
  await assert.rejects(own.devices.paramList(seen), denied);
  assert.ok((await run.listUsers({ fields: ["id", "email"] })).some((one) => one.email === "bob@example.org"));
  assert.equal(await run.userEdit(user, { name: "Robert" }), "TagoIO Run User Successfully Updated");
  assert.equal((await run.userInfo(user)).name, "Robert");
  assert.equal(await run.userDelete(user), "Successfully Removed");
  await assert.rejects(own.devices.list(), denied);
});

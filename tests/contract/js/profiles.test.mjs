// TagoIO's own JavaScript client, unmodified: profiles, their tokens and teams, and service authorizations.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Authorization, Resources } from "@tago-io/sdk";

const resources = new Resources({ token: process.env.PROFILE_TOKEN });
const { profiles, serviceAuthorization } = resources;
const credentials = { email: process.env.DECANT_EMAIL, password: process.env.DECANT_PASSWORD };
let current;

before(async () => {
  current = (await profiles.info("current")).info.id;
});

test("the life of a profile", async () => {
  const { id } = await profiles.create({ name: "JavaScript SDK" }, { allocate_free_resources: true });
  assert.ok((await profiles.list()).some((one) => one.id === id));
  assert.equal(await profiles.edit(id, { name: "Renamed" }), "Successfully Updated");
  const { info, allocation, account_plan } = await profiles.info(id);
  assert.deepEqual([info.name, allocation.input, account_plan], ["Renamed", Number.MAX_SAFE_INTEGER, "unlimited"]);
  await assert.rejects(profiles.delete(id, { password: "wrong" }), /Authorization Denied/);
  assert.equal(await profiles.delete(id, { password: credentials.password }), "Successfully Removed");
  assert.ok(!(await profiles.list()).some((one) => one.id === id));
  await assert.rejects(profiles.info(id), /Profile not found/);
});

test("summary and statistics", async () => {
  assert.ok((await profiles.summary(current)).amount.device >= 1);
  assert.deepEqual(Object.keys(await profiles.summary(current, { onlyAmount: true })), ["amount"]);
  assert.ok(Array.isArray(await profiles.usageStatisticList(current, { timezone: "UTC" })));
});

test("tokens and switch", async () => {
  const { token } = await profiles.tokenCreate(current, { name: "By JavaScript", permission: "full", ...credentials });
  assert.ok((await profiles.tokenList(current, { amount: 100 })).some((one) => one.token === token));
  const { id } = await profiles.create({ name: "Target" });
  const moved = new Resources({ token }).profiles;
  assert.equal(await moved.transferTokenToAnotherProfile(id), "Successfully Updated");
  assert.equal((await moved.info("current")).info.id, id);
  assert.equal(await profiles.tokenDelete(id, token), "Token Successfully Removed");
  assert.equal(await profiles.delete(id, { password: credentials.password }), "Successfully Removed");
});

test("team", async () => {
  assert.equal(await profiles.addTeamMember(current, "javascript@example.org"), "User invited");
  const [waiting] = (await profiles.teamList(current)).filter((one) => one.email === "javascript@example.org");
  assert.ok(waiting.created_at instanceof Date || typeof waiting.created_at === "string");
  assert.equal(await profiles.deleteTeamMember(current, waiting.id), "Account Successfully Removed");
});

test("what does not exist is said", async () => {
  assert.deepEqual(await profiles.addonList(current), []);
  await assert.rejects(profiles.addonEdit(current, { mobile: true }), /no add-ons/);
  await assert.rejects(profiles.removeAddOn(current, "mobile"), /no add-ons/);
  await assert.rejects(profiles.serviceEdit(current, { input: 1 }), /quotas of its plan/);
});

test("service authorizations", async () => {
  const made = await serviceAuthorization.tokenCreate({ name: "By JavaScript", permission: "full", verification_code: "a" });
  assert.match(made.token, /^at[0-9a-f]{32}$/);
  assert.equal(await serviceAuthorization.tokenEdit(made.token, "b"), "Authorization Code Successfully Updated");
  const [listed] = await serviceAuthorization.tokenList({ fields: ["verification_code"], filter: { name: "By JavaScript" } });
  assert.deepEqual(listed, { verification_code: "b" });
  assert.equal((await new Authorization({ token: made.token }).info()).name, "By JavaScript");
  assert.equal(await serviceAuthorization.tokenDelete(made.token), "Token Successfully Removed");
});

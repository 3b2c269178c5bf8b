// TagoIO's own JavaScript client, unmodified, against the server that TAGOIO_API names.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Account, Authorization, Device, Resources, Utils } from "@tago-io/sdk";

const resources = new Resources({ token: process.env.PROFILE_TOKEN });
const { devices } = resources;
const values = (points) => points.map((one) => one.value);
const DAY_MS = 86_400_000;
let made, device;

before(async () => {
  made = await devices.create({ name: "JavaScript SDK", type: "mutable", network: undefined, connector: undefined });
  device = new Device({ token: made.token });
});

async function fresh(more = {}) {
  const created = await devices.create({ name: "Fresh one", type: "mutable", ...more });
  return { id: created.device_id, device: new Device({ token: created.token }) };
}

test("every method of both classes is known here", () => {
  const own = (one) => Object.getOwnPropertyNames(Object.getPrototypeOf(one)).filter((name) => name !== "constructor").sort();
  assert.deepEqual(own(device), [
    "deleteData", "editData", "getData", "getDataStreaming", "getParameters", "info", "sendData", "sendDataStreaming",
    "setParameterAsRead",
  ]);
  assert.deepEqual(own(devices), [
    "amount", "copyChunk", "create", "dataBackup", "dataRestore", "delete", "deleteChunk", "deleteDeviceData", "edit",
    "editDeviceData", "emptyDeviceData", "getChunk", "getDeviceData", "getDeviceDataStreaming", "info", "list", "listStreaming", "paramList",
    "paramRemove", "paramSet", "sendDeviceData", "sendDeviceDataStreaming", "tokenCreate", "tokenDelete", "tokenList",
  ]);
});

test("info of a device and of tokens", async () => {
  const found = await device.info();
  assert.equal(found.id, made.device_id);
  assert.ok(found.created_at instanceof Date);
  const token = await new Authorization({ token: process.env.PROFILE_TOKEN }).info();
  assert.equal(token.type, "profile");
});

test("points with every field", async () => {
  const { device } = await fresh();
  const time = new Date("2026-01-02T03:04:05.678Z");
  assert.equal(await device.sendData({ variable: "Temperature", value: 21.5, unit: "C", time, metadata: { a: [1] } }), "1 Data Added");
  assert.equal(await device.sendData([{ variable: "place", location: { lat: 42, lng: -78 } }, { variable: "b", value: true }]), "2 Data Added");
  const [point] = await device.getData({ variables: "temperature" });
  assert.deepEqual([point.value, point.unit, point.time, point.metadata], [21.5, "C", time, { a: [1] }]);
  const [place] = await device.getData({ variables: ["place", "b"], query: "last_location" });
  assert.deepEqual(place.location, { type: "Point", coordinates: [-78, 42] });
  assert.equal((await device.getData()).length, 3);
  assert.ok((await device.getData({ details: true }))[0].created_at);
});

test("every kind of query", async () => {
  const { device, id } = await fresh();
  const now = Date.now() - 3_600_000;
  for (const number of [5, 1, 4, 2, 3]) {
    await device.sendData({ variable: "n", value: number, group: `g${number}`, time: new Date(now - (5 - number) * DAY_MS) });
  }
  const cases = [
    [{}, [5, 4, 3, 2, 1]], [{ query: "default" }, [5, 4, 3, 2, 1]], [{ query: "last_item" }, [5]], [{ query: "first_item" }, [1]],
    [{ query: "last_value" }, [5]], [{ query: "first_value" }, [1]], [{ query: "last_insert" }, [3]],
    [{ query: "first_insert" }, [5]], [{ query: "min" }, [1]], [{ query: "max" }, [5]], [{ query: "count" }, [5]],
    [{ query: "sum", start_date: "1 month" }, [15]], [{ query: "avg", start_date: "1 month" }, [3]],
    [{ query: "conditional", start_date: "1 month", value: 3, function: "gte" }, [5, 4, 3]],
    [{ query: "aggregate", interval: "day", function: "max", start_date: "1 month" }, [1, 2, 3, 4, 5]],
    [{ qty: 2, skip: 1 }, [4, 3]], [{ values: [2, "4"] }, [4, 2]], [{ groups: ["g2"] }, [2]],
    [{ ordination: "ascending", qty: 2 }, [1, 2]], [{ start_date: new Date(now - DAY_MS - 1000) }, [5, 4]],
  ];
  for (const [query, expected] of cases) {
    assert.deepEqual(values(await device.getData({ variables: ["n"], ...query })), expected, JSON.stringify(query));
    assert.deepEqual(values(await devices.getDeviceData(id, { variables: "n", ...query })), expected, JSON.stringify(query));
  }
});

test("a fraction and nothing as a scalar", async () => {
  const { device, id } = await fresh();
  await device.sendData([{ variable: "n", value: 1 }, { variable: "n", value: 2 }]);
  assert.deepEqual(values(await device.getData({ query: "avg", start_date: "1 day" })), [1.5]);
  const nothing = { query: "avg", variables: "none", start_date: "1 day" };
  assert.deepEqual(await device.getData(nothing), []);
  assert.deepEqual(await devices.getDeviceData(id, nothing), []);
});

test("editing and deleting", async () => {
  const { device, id } = await fresh();
  await device.sendData([1, 2, 3, 4, 5].map((value) => ({ variable: "a", value, time: new Date(value * 1000) })));
  const [newest, second] = await device.getData();
  assert.equal(await device.editData({ id: newest.id, value: 50 }), "1 item(s) updated");
  assert.equal(await devices.editDeviceData(id, [{ id: second.id, unit: "C" }]), "1 item(s) updated");
  assert.deepEqual(values(await device.getData({ ids: [newest.id] })), [50]);
  assert.equal(await device.deleteData(), "1 Data Removed");
  assert.equal(await device.deleteData({ variables: ["a"], qty: 1 }), "1 Data Removed");
  assert.equal(await devices.deleteDeviceData(id, { variables: "a", qty: 1 }), "1 Data Removed");
  assert.equal(await devices.amount(id), 2);
  assert.equal(await devices.emptyDeviceData(id), "Data Successfully Removed");
  assert.deepEqual(await device.getData(), []);
  assert.equal(await devices.sendDeviceData(id, { variable: "b", value: "x" }), "1 Data Added");
});

test("streaming in both directions", async () => {
  const { device, id } = await fresh();
  const points = Array.from({ length: 25 }, (_, at) => ({ variable: "s", value: at, time: new Date(1_760_000_000_000 + at) }));
  assert.match(await device.sendDataStreaming(points, { poolingRecordQty: 25, poolingTime: 100 }), /25/);
  assert.match(await devices.sendDeviceDataStreaming(id, points.slice(0, 5), { poolingRecordQty: 5, poolingTime: 100 }), /5/);
  assert.equal(await devices.amount(id), 30);
  const got = [];
  for await (const page of device.getDataStreaming({ variables: "s" }, { poolingRecordQty: 10, poolingTime: 100 })) got.push(...page);
  assert.deepEqual(new Set(values(got)), new Set(points.map((one) => one.value)));
  let count = 0;
  for await (const page of devices.getDeviceDataStreaming(id, { variables: ["s"] }, { poolingRecordQty: 7, poolingTime: 100 })) count += page.length;
  assert.equal(count, 30);
});

test("parameters from both sides", async () => {
  const { device, id } = await fresh();
  assert.equal(await devices.paramSet(id, { key: "a", value: "1", sent: false }), "Params Successfully Updated");
  await devices.paramSet(id, [{ key: "b", value: "2", sent: true }]);
  const [a] = await device.getParameters("onlyUnRead");
  assert.deepEqual([a.key, a.value, a.sent], ["a", "1", false]);
  assert.deepEqual((await device.getParameters("onlyRead")).map((one) => one.key), ["b"]);
  assert.equal((await device.getParameters("all")).length, 2);
  assert.equal(await device.setParameterAsRead(a.id), "Params Successfully Updated");
  await devices.paramSet(id, { key: "a", value: "9", sent: true }, a.id);
  assert.deepEqual((await devices.paramList(id, true)).map((one) => one.value).sort(), ["2", "9"]);
  assert.equal(await devices.paramRemove(id, a.id), "Successfully Removed");
  assert.equal((await devices.paramList(id)).length, 1);
});

test("tokens", async () => {
  const { id } = await fresh();
  const token = await devices.tokenCreate(id, { name: "Reader", permission: "read", expire_time: "1 day" });
  assert.ok(token.expire_date instanceof Date && token.token.length === 36);
  const listed = await devices.tokenList(id, { fields: ["name", "token", "permission", "expire_time", "last_authorization"] });
  assert.deepEqual(listed.map((one) => one.name), ["Reader", "Default"]);
  assert.equal(listed[1].expire_time, "never");
  await assert.rejects(new Device({ token: token.token }).sendData({ variable: "a", value: 1 }), /Authorization Denied/);
  assert.equal(await devices.tokenDelete(token.token), "Token Successfully Removed");
  const account = new Account({ token: process.env.PROFILE_TOKEN });
  assert.equal((await Utils.getTokenByName(account, id, ["Default"])).length, 36);
  assert.equal((await (await Utils.getDevice(account, id)).info()).id, id);
});

test("devices: list, edit, delete, stream", async () => {
  const { id } = await fresh({ name: "Only one of this name", tags: [{ key: "k", value: "only" }] });
  const [found] = await devices.list({ filter: { name: "only one*" }, fields: ["id", "name", "created_at"], resolveBucketName: true, resolveConnectorName: true });
  assert.deepEqual([found.id, found.bucket_name, found.connector_name], [id, "Only one of this name", "Custom HTTPS"]);
  assert.ok(found.created_at instanceof Date);
  assert.equal((await devices.list({ filter: { tags: [{ key: "k", value: "only" }] } })).length, 1);
  assert.equal(await devices.edit(id, { name: "Renamed", active: false }), "Successfully Updated");
  assert.deepEqual(((one) => [one.name, one.active])(await devices.info(id)), ["Renamed", false]);
  const seen = new Set();
  for await (const page of devices.listStreaming()) for (const one of page) seen.add(one.id);
  assert.ok(seen.has(id) && seen.has(made.device_id));
  assert.equal(await devices.delete(id), "Successfully Removed");
  await assert.rejects(devices.info(id), /Device not found/);
});

test("chunks", async () => {
  const { device, id } = await fresh({ type: "immutable", chunk_period: "day", chunk_retention: 1 });
  await device.sendData([{ variable: "a", value: 1 }]);
  const [chunk] = await devices.getChunk(id);
  assert.equal(chunk.amount, 1);
  assert.equal(await devices.deleteChunk(id, chunk.id), `Chunk ${chunk.id} deleted`);
});

test("account: login, token, info, edit, create, recover, pin", { skip: !process.env.DECANT_PASSWORD && "the password is not known" }, async () => {
  const credentials = { email: process.env.DECANT_EMAIL, password: process.env.DECANT_PASSWORD };
  const AccountResource = new Resources({ token: process.env.PROFILE_TOKEN }).account.constructor;
  const found = await AccountResource.login(credentials);
  assert.equal(found.email, credentials.email);
  const made = await AccountResource.tokenCreate({ ...credentials, profile_id: found.profiles[0].id, name: "JavaScript SDK" });
  const { account } = new Resources({ token: made.token });
  const shown = await account.info();
  assert.equal(shown.id, found.id);
  assert.ok(shown.created_at instanceof Date && shown.last_login instanceof Date);
  assert.equal(await account.edit({ company: "Decant" }), "Account Successfully Updated");
  assert.equal((await account.info()).company, "Decant");
  const fresh = { name: "J", email: `js${Date.now()}@x.org`, password: "12345678", cpassword: "12345678", timezone: "UTC" };
  assert.match(await AccountResource.create(fresh), /in the log/);
  assert.match(await AccountResource.passwordRecover(fresh.email), /in the log/);
  assert.match(await AccountResource.resendConfirmation(fresh.email), /in the log/);
  assert.match(await AccountResource.requestLoginPINCode(credentials, "authenticator"), /app/);
  await assert.rejects(AccountResource.login({ ...credentials, password: "wrong" }), /Authorization Denied/);
  await assert.rejects(AccountResource.confirmAccount("0".repeat(56)), /The link was used/);
});

async function finished(path, kind) {
  const end = Date.now() + 60_000;
  for (;;) {
    const found = (await resources.files.list()).files.find((one) => one.filename === path);
    assert.notEqual(found.job.status, "failed", JSON.stringify(found));
    if (found.job.kind === kind && found.job.status === "done") return found;
    assert.ok(Date.now() < end, JSON.stringify(found));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test("backup and restore", async () => {
  const { device, id } = await fresh();
  await device.sendData([1, 2, 3].map((value) => ({ variable: "a", value })));
  const { file_address } = await devices.dataBackup({ deviceID: id, file_address: "/backups/$DEVICE$", headers: true });
  assert.equal(file_address, `backups/${id}.csv`);
  const found = await finished(file_address, "backup");
  assert.ok(found.size > 0 && found.last_modified instanceof Date);
  assert.equal(found.job.points, 3);
  await devices.emptyDeviceData(id);
  assert.equal(await devices.dataRestore({ deviceID: id, file_address: `/${file_address}` }), "Data import added to the queue successfully!");
  assert.equal((await finished(file_address, "restore")).job.points, 3);
  assert.deepEqual(values(await device.getData({ qty: 10 })).sort(), [1, 2, 3]);
  assert.equal(await resources.files.delete([file_address]), "Successfully Removed");
});

test("backup of a chunk", async () => {
  const { device, id } = await fresh({ type: "immutable", chunk_period: "day", chunk_retention: 1 });
  await device.sendData([{ variable: "a", value: 1 }]);
  const [chunk] = await devices.getChunk(id);
  const sent = { deviceID: id, file_address: "/chunks/$DEVICE$/$CHUNK$", headers: false };
  for (const begin of [() => devices.dataBackup(sent, chunk.id), () => devices.copyChunk({ ...sent, chunkID: chunk.id })]) {
    const begun = await begin();
    assert.deepEqual([begun.chunk_id, begun.file_address], [chunk.id, `chunks/${id}/${chunk.id}.csv`]);
    assert.equal((await finished(begun.file_address, "backup")).job.points, 1);
    await resources.files.delete([begun.file_address]);
  }
});

test("a refused call is tried once, and its message says when to come back", async () => {
  const { device } = await fresh({ rpm: { data_input: 1 } });
  const send = fetch;
  let tries = 0;
  globalThis.fetch = (...sent) => {
    tries += 1;
    return send(...sent);
  };
  try {
    await assert.rejects(
      async () => {
        for (let call = 0; call < 3; call += 1) { // a minute may begin between two of them
          tries = 0;
          await device.sendData({ variable: "a", value: 1 });
        }
      },
      (refusal) => /^Too many requests \(Retry-After: ([1-9]|[1-5]\d|60)\)$/.test(refusal),
    );
  } finally {
    globalThis.fetch = send;
  }
  assert.equal(tries, 1);
});

test("keys of tags, and the audit log", async () => {
  const { id } = await fresh({ tags: [{ key: "by", value: "javascript" }] });
  assert.ok((await resources.tags.getTagKeys("device")).includes("by"));
  const found = await resources.profiles.auditLog("current", { resourceID: id });
  assert.equal(found.status, "Complete");
  assert.equal(found.events[0].message, "Create a device");
  assert.deepEqual(await resources.profiles.auditLogQuery("current", found.queryId), found);
});

import { expect, test, vi } from "vitest";
import { ApiError } from "./api";
import { digestOf, firstRows, MAX_BYTES, run, type Job, type Progress, type Saved } from "./importer";
import { guess } from "./mapping";

vi.hoisted(() => vi.stubGlobal("document", { baseURI: "http://localhost/console" }));

const mapping = guess(["variable", "value", "time"], ",");
const START = Date.UTC(2026, 0, 1);

function fileOf(lines: number, bad: number[] = []): Blob {
  const rows = ["variable,value,time"];
  for (let index = 0; index < lines; index += 1) {
    const time = bad.includes(index) ? "never" : new Date(START + index * 1_000).toISOString();
    rows.push(`temperature,${index / 10},${time}`);
  }
  return new Blob([`${rows.join("\n")}\n`]);
}

/** A server that keeps each key once. `answer` may throw instead. */
function server(answer: (count: number, points: { value: number }[]) => void = () => {}) {
  const bodies = new Map<string, string>();
  let count = 0;
  const send = async (body: string, key: string) => {
    const points = JSON.parse(body) as { value: number }[];
    answer((count += 1), points);
    if (bodies.has(key) && bodies.get(key) !== body) throw new ApiError("Idempotency-Key was used with another body before", 400);
    bodies.set(key, body);
    return points.length;
  };
  const values = () => [...bodies.values()].flatMap((body) => (JSON.parse(body) as { value: number }[]).map(({ value }) => value));
  return { send, bodies, values, count: () => count };
}

async function job(file: Blob, send: Job["send"], more: Partial<Job> = {}) {
  const states: Saved[] = [];
  const progress: Progress[] = [];
  const waits: number[] = [];
  const saved: Saved = { digest: await digestOf(file, mapping), name: "f", mapping, batches: 0, added: 0, part: 0, refused: [] };
  const full: Job = {
    file, send, saved, save: (state) => states.push(structuredClone(state)), onProgress: (one) => progress.push(one),
    sleep: async (seconds) => void waits.push(seconds), signal: new AbortController().signal, ...more,
  };
  return { states, progress, waits, full };
}

test("all lines arrive once, in batches by count", async () => {
  const { send, bodies, values } = server();
  const { full, progress } = await job(fileOf(2_500), send);
  expect(await run(full)).toEqual({ added: 2_500, failed: 0, errors: [], first: [] });
  expect([...bodies.values()].map((body) => JSON.parse(body).length)).toEqual([1_000, 1_000, 500]);
  expect(values()).toEqual(Array.from({ length: 2_500 }, (_, index) => index / 10));
  expect(progress.at(-1)).toMatchObject({ part: 1, batches: 3, added: 2_500 });
});

test("batches are cut by size as well", async () => {
  const { send, bodies } = server();
  const rows = Array.from({ length: 200 }, (_, index) => `a,${"ü".repeat(1_500)},${new Date(START + index).toISOString()}`);
  const { full } = await job(new Blob([["variable,value,time", ...rows].join("\n")]), send);
  expect((await run(full)).added).toBe(200);
  const sizes = [...bodies.values()].map((body) => new TextEncoder().encode(body).length);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(MAX_BYTES);
  expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThan(MAX_BYTES - 4_000);
});

test("what was interrupted is resumed without storing anything twice", async () => {
  const file = fileOf(3_500, [7]);
  const first = server((count) => {
    if (count === 3) throw new ApiError("Denied", 401);
  });
  const begun = await job(file, first.send);
  await expect(run(begun.full)).rejects.toThrow("Denied");
  const saved = begun.states.at(-1)!;
  expect(saved).toMatchObject({ batches: 2, added: 2_000 });
  const again = await job(file, first.send, { saved });
  const report = await run(again.full);
  expect(report).toMatchObject({ added: 3_499, failed: 1 });
  expect(report.errors[0]).toMatch(/^9,/);
  expect(new Set(first.values()).size).toBe(3_499);
  expect(first.count()).toBe(5);
});

test("an answer that was lost is asked for again under the same key and body", async () => {
  const lost = server();
  let isLost = true;
  const { full, waits } = await job(fileOf(10), async (body, key) => {
    const stored = await lost.send(body, key);
    if (isLost) {
      isLost = false;
      throw new ApiError("The server does not answer. Check the connection.", 0);
    }
    return stored;
  });
  expect((await run(full)).added).toBe(10);
  expect([lost.bodies.size, lost.count(), waits.length]).toEqual([1, 2, 1]);
});

test("a limit is waited for as long as the server says, however often", async () => {
  const { send } = server((count) => {
    if (count <= 9) throw new ApiError("Too many requests", 429, "", {}, 17);
  });
  const { full, waits, progress } = await job(fileOf(5), send);
  expect((await run(full)).added).toBe(5);
  expect(waits).toEqual(Array(9).fill(17));
  expect(progress.some(({ waitS }) => waitS === 17)).toBe(true);
});

test("a server that stays down ends the import, which can be resumed", async () => {
  const { send, count } = server(() => {
    throw new ApiError("Down", 503);
  });
  const { full } = await job(fileOf(5), send);
  await expect(run(full)).rejects.toThrow("Down");
  expect(count()).toBe(6);
});

test("a point that the server refuses is left out and named by its line", async () => {
  const { send, values } = server((_, points) => {
    const index = points.findIndex(({ value }) => value === 0.3 || value === 0.8);
    if (index >= 0) throw new ApiError(`Item ${index}: too odd`, 400, "r", { [index]: ["too odd"] });
  });
  const { full, states } = await job(fileOf(10), send);
  const report = await run(full);
  expect(report).toMatchObject({ added: 8, failed: 2, errors: ["5,too odd\r\n", "10,too odd\r\n"], first: [{ line: 5, problem: "too odd" }, { line: 10 }] });
  expect(values()).not.toContain(0.3);
  expect(states.at(-1)!.refused).toHaveLength(2);
});

test("a refusal that names no item stops the import", async () => {
  const { send } = server(() => {
    throw new ApiError("Device is deactivated", 400);
  });
  await expect(run((await job(fileOf(3), send)).full)).rejects.toThrow("deactivated");
});

test("the digest depends on every byte and on the mapping, not on the pieces", async () => {
  const digest = await digestOf(fileOf(5_000), mapping);
  expect(digest).toMatch(/^[0-9a-f]{28}$/);
  expect(await digestOf(new Blob([await fileOf(5_000).text()]), mapping)).toBe(digest);
  expect(await digestOf(fileOf(5_001), mapping)).not.toBe(digest);
  expect(await digestOf(fileOf(5_000), { ...mapping, isLocal: true })).not.toBe(digest);
});

test("a file that is not UTF-8 says so", async () => {
  await expect(firstRows(new Blob([new Uint8Array([0x61, 0xfc, 0x0a])]), ",", 1)).rejects.toThrow("not UTF-8");
});

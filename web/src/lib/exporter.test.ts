import { expect, test, vi } from "vitest";
import { ApiError } from "./api";
import type { StoredPoint } from "./csv";
import { begin, fileName, PAGE, pagesOf, partOf, write, type Page } from "./exporter";

vi.hoisted(() => vi.stubGlobal("document", { baseURI: "http://localhost/console" }));

const END = "2026-02-01T00:00:00.000Z";
const at = (ms: number) => new Date(Date.UTC(2026, 0, 1) + ms).toISOString();

/** A server whose points have these times, in milliseconds; newest first as the API answers. */
function server(times: number[], largest = PAGE) {
  const points = times.map((ms, index): StoredPoint => ({ id: String(index).padStart(6, "0"), variable: "a", value: index, time: at(ms) }));
  points.sort((a, b) => (a.time === b.time ? (a.id < b.id ? 1 : -1) : a.time < b.time ? 1 : -1));
  const pages: Page[] = [];
  const read = async (page: Page) => {
    pages.push(page);
    if (page.qty > largest) throw new ApiError("The answer is too large", 413);
    const found = points.filter((point) => point.time <= page.end_date && point.time >= (page.start_date ?? ""));
    return JSON.stringify({ result: found.slice(page.skip, page.skip + page.qty) });
  };
  return { read, pages };
}

async function ids(read: (page: Page) => Promise<string>, start?: string) {
  const found: string[] = [];
  for await (const points of pagesOf({ start, end: END, variables: [] }, read)) found.push(...points.map(({ id }) => id));
  return found;
}

test("each point comes once, the newest first, whatever times are equal", async () => {
  const times = Array.from({ length: 25_000 }, (_, index) => Math.floor(index / 3));
  const found = await ids(server(times).read);
  expect(found).toHaveLength(25_000);
  expect(new Set(found).size).toBe(25_000);
  expect(found[0]).toBe("024999");
});

test("more points of one time than a page holds are all found", async () => {
  const times = [...Array(PAGE * 2 + 5).fill(7), 1, 9] as number[];
  const found = await ids(server(times).read);
  expect(new Set(found).size).toBe(PAGE * 2 + 7);
  expect(found).toHaveLength(PAGE * 2 + 7);
});

test("of several variables each point comes once, however often each was sent", async () => {
  const often = server(Array.from({ length: PAGE * 2 + 1 }, (_, index) => 1_000 + index), PAGE);
  const seldom = server([1, 500_000], PAGE);
  // As the API: qty and skip count the points of each variable, and the variables come one below the other.
  const read = async (page: Page) => {
    const asked = [page.variables ?? []].flat();
    const parts = await Promise.all(asked.map((name) => (name === "often" ? often : seldom).read(page)));
    const points = parts.flatMap((text, index) => (JSON.parse(text) as { result: StoredPoint[] }).result.map((one) => ({ ...one, id: `${asked[index]}${one.id}` })));
    return JSON.stringify({ result: points });
  };
  const found: string[] = [];
  const range = { start: at(0), end: END, variables: ["often", "seldom", "often"] };
  for await (const points of pagesOf(range, read)) found.push(...points.map(({ id }) => id));
  expect(new Set(found).size).toBe(PAGE * 2 + 3);
  expect(found).toHaveLength(PAGE * 2 + 3);
});

test("nothing is one request", async () => {
  const { read, pages } = server([]);
  expect(await ids(read)).toEqual([]);
  expect(pages).toHaveLength(1);
});

test("an answer that is too large is asked for in smaller pages", async () => {
  const { read } = server(Array.from({ length: 9_000 }, (_, index) => index), 2_500);
  expect(await ids(read)).toHaveLength(9_000);
});

test("other errors end the export", async () => {
  await expect(ids(server([1, 2], 1).read)).rejects.toThrow("too large");
});

test("files are CSV with ids or one JSON a line", () => {
  const point = { id: "x", variable: "a", value: "=1", time: END };
  expect(begin("csv") + write([point], "csv")).toBe(`variable,value,unit,group,time,location,metadata,id\r\na,'=1,,,${END},,,x\r\n`);
  expect(begin("ndjson") + write([point], "ndjson")).toBe(`${JSON.stringify(point)}\n`);
});

test("progress follows the time", () => {
  const range = { start: at(0), end: at(100), variables: [] };
  const part = (ms: number, variables: string[] = [], variable = "a") => partOf({ ...range, variables }, { time: at(ms), variable });
  expect([part(100), part(75), part(0)]).toEqual([0, 0.25, 1]);
  expect([part(0, ["a", "b"]), part(50, ["a", "b"], "b")]).toEqual([0.5, 0.75]);
  expect(partOf({ ...range, start: undefined }, { time: at(1), variable: "a" })).toBeUndefined();
});

test("names of files hold nothing that a system refuses", () => {
  expect(fileName('<img src=x> "ü/..', "csv", END)).toBe("img-src-x-ü-2026-02-01.csv");
  expect(fileName("///", "ndjson", END)).toBe("points-2026-02-01.ndjson");
});

import { expect, it } from "vitest";
import { latest, merged, newestTime, type Point } from "./points";

const point = (id: string, time: string, variable = "t", value: number = 1): Point => ({ id, time, variable, value });

it("merges by id, the newest first, and takes the newer form of a point", () => {
  const a = point("a", "2026-01-01T00:00:00.000Z");
  const b = point("b", "2026-01-02T00:00:00.000Z");
  const edited = point("a", "2026-01-03T00:00:00.000Z", "t", 2);
  expect(merged([b, a], [edited, b])).toEqual([edited, b]);
  expect(merged([], [])).toEqual([]);
});

it("orders points of one time by their ids, so that they never change places", () => {
  const time = "2026-01-01T00:00:00.000Z";
  expect(merged([point("1", time), point("3", time)], [point("2", time)]).map(({ id }) => id)).toEqual(["3", "2", "1"]);
});

it("returns the newest point of each variable, by name", () => {
  const points = [point("1", "2026-01-01", "b"), point("2", "2026-01-03", "a"), point("3", "2026-01-02", "b"), point("4", "2026-01-02", "a")];
  expect(latest(points).map(({ id }) => id)).toEqual(["2", "3"]);
});

it("knows the newest time, also if a late point arrives last", () => {
  expect(newestTime([point("1", "2026-01-02"), point("2", "2026-01-01")], "2025")).toBe("2026-01-02");
  expect(newestTime([], "2025")).toBe("2025");
});

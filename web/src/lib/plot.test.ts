import { describe, expect, it } from "vitest";
import { columnsOf, intervalOf, SPANS, tickTexts, valueAt, zoomed } from "./plot";

const DAY_MS = 86_400_000;

describe("intervalOf", () => {
  it.each([
    ["15 min", ""],
    ["Hour", "minute"],
    ["Day", "5 minutes"],
    ["Week", "15 minutes"],
    ["Month", "hour"],
    ["Year", "day"],
  ])("%s: %s", (name, interval) => expect(intervalOf({ fromMs: 0, toMs: SPANS[name]! })).toBe(interval));

  it("never asks for more than 800 buckets", () => {
    const lengths: Record<string, number> = { minute: 1, "5 minutes": 5, "15 minutes": 15, hour: 60, day: 1_440, week: 10_080, month: 44_640, year: 527_040 };
    for (let toMs = 21 * 60_000; toMs < 40_000 * DAY_MS; toMs *= 1.1) {
      expect(toMs / 60_000 / lengths[intervalOf({ fromMs: 0, toMs })]!).toBeLessThanOrEqual(800);
    }
  });
});

describe("columnsOf", () => {
  const sample = (variable: string, time: string, value: number) => ({ variable, time, value });

  it("gives rising times, and a gap where a variable has no sample", () => {
    const samples = [sample("b", "1970-01-01T00:00:02Z", 5), sample("a", "1970-01-01T00:00:01Z", 1), sample("a", "1970-01-01T00:00:02Z", 2)];
    expect(columnsOf(samples, ["a", "b", "c"])).toEqual([[1, 2], [1, 2], [undefined, 5], [undefined, undefined]]);
  });

  it("takes the last sample of one time, and drops variables that are not drawn", () => {
    const samples = [sample("a", "1970-01-01T00:00:01Z", 1), sample("a", "1970-01-01T00:00:01Z", 3), sample("x", "1970-01-01T00:00:05Z", 9)];
    expect(columnsOf(samples, ["a"])).toEqual([[1], [3]]);
  });

  it("needs no samples", () => expect(columnsOf([], ["a"])).toEqual([[], []]));
});

describe("zoomed", () => {
  it("keeps the middle", () => expect(zoomed({ fromMs: 0, toMs: 8_000 }, 0.5, 20_000)).toEqual({ fromMs: 2_000, toMs: 6_000 }));
  it("does not end after now", () => expect(zoomed({ fromMs: 0, toMs: 8_000 }, 2, 8_000)).toEqual({ fromMs: -8_000, toMs: 8_000 }));
  it("shows a second at least", () => expect(zoomed({ fromMs: 0, toMs: 1_000 }, 0.01, 9_000)).toEqual({ fromMs: 0, toMs: 1_000 }));
});

it("valueAt finds what the line shows, also in a gap", () => {
  expect(valueAt([1, undefined, null, 4], 2)).toBe(1);
  expect(valueAt([undefined, 2], 0)).toBeUndefined();
  expect(valueAt([1, 0], 9)).toBe(0);
});

it("tickTexts says the date once for each day", () => {
  const texts = tickTexts([0, 3_600, 7_200].map((timeS) => timeS + new Date(0).getTimezoneOffset() * 60), 3_600);
  expect(texts.map((text) => text.includes("\n"))).toEqual([true, false, false]);
  expect(tickTexts([0, 40 * 86_400], 31 * 86_400)[1]).toContain("1970");
});

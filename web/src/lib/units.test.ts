import { describe, expect, it } from "vitest";
import { activityOf, ago, toLocalInput, typedValue, valueText } from "./units";

const NOW_MS = Date.parse("2026-08-20T12:00:00Z");
const before = (seconds: number) => new Date(NOW_MS - seconds * 1_000).toISOString();

describe("ago", () => {
  it.each([
    [null, "never"],
    [before(-5), "now"],
    [before(44), "now"],
    [before(50), "1 min ago"],
    [before(3_599), "60 min ago"],
    [before(3_600), "1 h ago"],
    [before(86_400), "1 day ago"],
    [before(3 * 86_400), "3 days ago"],
  ])("%s is %s", (time, text) => expect(ago(time, NOW_MS)).toBe(text));
});

describe("activityOf", () => {
  it.each([
    [true, before(60), "live"],
    [true, before(3_600), "quiet"],
    [true, before(86_400), "silent"],
    [true, null, "silent"],
    [false, before(60), "off"],
  ])("active %s, last point %s: %s", (active, last_input, activity) => expect(activityOf({ active, last_input }, NOW_MS)).toBe(activity));
});

describe("typedValue", () => {
  it.each([
    ["", undefined],
    [" 21.5 ", 21.5],
    ["-1e3", -1000],
    [".5", 0.5],
    ["5.", 5],
    ["true", true],
    ["0x10", "0x10"],
    ["1,5", "1,5"],
    ["Infinity", "Infinity"],
    [" two words", " two words"],
  ])("%j is %j", (text, value) => expect(typedValue(text)).toBe(value));
  it("reads 21,5 where people write so", () => {
    expect(["21,5", "-0,5 ", "1,2,3"].map((text) => typedValue(text, true))).toEqual([21.5, -0.5, "1,2,3"]);
    expect(typedValue("21,5", false)).toBe("21,5");
  });
});

it("toLocalInput reads back as the same instant", () => {
  const time = "2026-03-29T01:30:00.123Z";
  expect(new Date(toLocalInput(time)).toISOString()).toBe(time);
});

it("valueText shows false, and a dash for no value", () => {
  expect([valueText(false), valueText(undefined), valueText("x")]).toEqual(["false", "–", "x"]);
});

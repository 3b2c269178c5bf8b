import { expect, test } from "vitest";
import { isAmbiguous, isLocalTime, isoOf, styleOf, withPoint } from "./spreadsheet";

test.each([
  ["31.01.2026", true, "2026-01-31T00:00:00"],
  ["31.01.2026", false, "2026-01-31T00:00:00"],
  ["1.2.2026 9:05", false, "2026-02-01T09:05:00"],
  ["03/04/2026 14:30:05", true, "2026-04-03T14:30:05"],
  ["03/04/2026 14:30:05,25", false, "2026-03-04T14:30:05,25"],
  ["27/11/2026, 00:01", true, "2026-11-27T00:01:00"],
  ["11/27/2026 2:30 PM", false, "2026-11-27T14:30:00"],
  ["11/27/2026 12:00 AM", false, "2026-11-27T00:00:00"],
  ["11/27/2026 13:00 PM", false, ""],
  ["1.2.26", true, ""],
  ["1.2/2026", true, ""],
])("%s, the day first: %s, is %s", (cell, isDayFirst, expected) => expect(isoOf(cell, isDayFirst)).toBe(expected));

test("the first lines show decimal commas and the order of dates", () => {
  expect(styleOf(["27.11.2026", "21,5"], ";")).toEqual({ hasDecimalComma: true, isDayFirst: true });
  expect(styleOf(["11/27/2026", "21.5"], ";")).toEqual({ hasDecimalComma: false, isDayFirst: false });
  expect(styleOf(["48,1"], ",").hasDecimalComma).toBe(false);
});

test("numbers with a comma get a point, other cells stay", () => {
  expect(["21,5", " -0,25 ", "+1,5", "1,234,5", "48.1", "a,b", ""].map(withPoint)).toEqual(["21.5", "-0.25", "1.5", "1,234,5", "48.1", "a,b", ""]);
});

test("only dates with slashes or hyphens need a word about their order", () => {
  expect(["03/04/2026", "03-04-2026 12:00", "03.04.2026", "2026-04-03", "12"].map(isAmbiguous)).toEqual([true, true, false, false, false]);
  expect(isLocalTime("2026-04-03")).toBe(false);
});

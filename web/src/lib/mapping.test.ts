import { expect, test } from "vitest";
import { guess, pointsOf, problemOf, readTime, variableOf, type Mapping } from "./mapping";

const UTC = { isLocal: false, isDayFirst: true };
const LOCAL = { ...UTC, isLocal: true };
const targets = (mapping: Mapping) => mapping.columns.map(({ target }) => target);

test("a file of an export is understood, without its ids", () => {
  const mapping = guess(["variable", "value", "time", "id"], ",");
  expect(targets(mapping)).toEqual(["variable", "value", "time", ""]);
  expect(problemOf(mapping)).toBe("");
});

test("a table with a column for each sensor becomes a variable for each", () => {
  const mapping = guess(["Timestamp", "Temp (°C)", "Lat", "Lon", "Value"], ",");
  expect(targets(mapping)).toEqual(["time", "own", "latitude", "longitude", "own"]);
  const shared = { time: "2026-01-31T12:00:00.000Z", location: { lat: 1.5, lng: -2 } };
  expect(pointsOf(["2026-01-31 12:00", "21.5", "1.5", "-2", "on"], mapping)).toEqual([
    { point: { variable: "temp_(°c)", value: 21.5, ...shared }, problem: "" },
    { point: { variable: "value", value: "on", ...shared }, problem: "" },
  ]);
  expect(pointsOf(["2026-01-31 12:00", "", "", "", "1"], mapping)).toHaveLength(1);
  expect(pointsOf(["2026-01-31 12:00"], mapping)[0]!.problem).toBe("it has no value");
});

test.each([
  [["variable", "value"], ["time", "time"], "Two columns cannot both be the time"],
  [["variable"], ["latitude"], "Latitude and longitude go together"],
  [["value"], ["time"], "Say which column"],
  [["variable"], ["own"], "Either one column"],
])("a mapping that cannot work says why: %j %j", (some, others, problem) => {
  const columns = [...some, ...others].map((target) => ({ target, variable: "a" })) as Mapping["columns"];
  expect(problemOf({ columns, delimiter: ",", isLocal: false, hasDecimalComma: false, isDayFirst: true })).toContain(problem);
});

test.each([
  ["2026-01-31", "2026-01-31T00:00:00.000Z"],
  ["2026-01-31 12:30", "2026-01-31T12:30:00.000Z"],
  ["2026-01-31T12:30:05,25+0100", "2026-01-31T11:30:05.250Z"],
  ["1767225600", "2026-01-01T00:00:00.000Z"],
  ["1767225600000", "2026-01-01T00:00:00.000Z"],
])("reads the time %s", (text, expected) => expect(readTime(text, UTC)).toBe(expected));

test.each(["31.01.26", "31.02.2026", "01/31/2026", "2026-02-30", "2026-13-01", "noon", "12"])("refuses the time %s", (text) => {
  expect(() => readTime(text, UTC)).toThrow("time must be");
});

test("a time without a zone is local if the person says so", () => {
  expect(readTime("2026-01-31 12:30", LOCAL)).toBe(new Date(2026, 0, 31, 12, 30).toISOString());
  expect(readTime("2026-01-31 12:30Z", LOCAL)).toBe("2026-01-31T12:30:00.000Z");
});

test.each([
  [["a b"], "variable must not contain"], [["a".repeat(101)], "at most 100"], [[""], "variable is missing"],
  [["a", "x".repeat(6_001)], "at most 6000 bytes"], [["a", "ü".repeat(3_001)], "at most 6000 bytes"],
  [["a", "1", "u".repeat(26)], "unit must"], [["a", "1", "", "91,0"], "location must be within"],
])("a row that breaks a rule says which: %#", (cells, problem) => {
  expect(pointsOf(cells, guess(["variable", "value", "unit", "location"], ","))[0]!.problem).toContain(problem);
});

test("names of variables are made of headers", () => {
  expect([variableOf("Temp 1"), variableOf(" A.b-C "), variableOf("")]).toEqual(["temp_1", "a_b_c", "value"]);
});

test("a table of a spreadsheet is read as its owner reads it", () => {
  const rows = [["27.11.2026 14:30", "21,5", "48,137", "11,575"], ["03.04.2026 00:00", "-0,25", "48,2", "11,6"]];
  const mapping = guess(["Gemessen", "Temp", "Lat", "Lon"], ";", rows);
  expect(mapping).toMatchObject({ isLocal: true, hasDecimalComma: true });
  expect(rows.flatMap((row) => pointsOf(row, mapping)).map(({ point }) => point)).toEqual([
    { variable: "temp", value: 21.5, time: new Date(2026, 10, 27, 14, 30).toISOString(), location: { lat: 48.137, lng: 11.575 } },
    { variable: "temp", value: -0.25, time: new Date(2026, 3, 3).toISOString(), location: { lat: 48.2, lng: 11.6 } },
  ]);
  expect(pointsOf(["", "21,5"], { ...mapping, hasDecimalComma: false })[0]!.point!.value).toBe("21,5");
});

import { expect, test } from "vitest";
import shared from "../../../tests/kit/csv_cases.json";
import { CsvError, delimiterOf, Digits, guarded, header, MAX_ROW_CHARS, parsePoints, pointJson, Reader, readValue, row, unguarded, type StoredPoint } from "./csv";
import { guess, pointsOf, problemOf } from "./mapping";

interface Case { name: string; text: string; points?: object[]; lines?: number[]; ids?: boolean }
const cases = shared as unknown as Record<"write" | "read" | "refused", Case[]>;

function rows(text: string, size = text.length || 1, delimiter = ",") {
  const reader = new Reader(delimiter);
  const found = [];
  for (let start = 0; start < text.length; start += size) found.push(...reader.push(text.slice(start, start + size)));
  return [...found, ...reader.end()];
}

/** Read a whole file by the mapping that its header suggests. */
function read(text: string, size?: number) {
  const [first, ...others] = rows(text, size);
  const mapping = guess(first?.cells ?? [], ",");
  const problem = problemOf(mapping);
  return { problem, rows: others.flatMap(({ line, cells }) => pointsOf(cells, mapping).map((found) => ({ line, ...found }))) };
}

test.each(cases.write.map((one) => [one.name, one] as const))("writes %s", (_, { points, text, ids = false }) => {
  expect(header(ids) + points!.map((point) => row(point as StoredPoint, ids)).join("")).toBe(text);
});

test.each(cases.read.map((one) => [one.name, one] as const))("reads %s, in pieces of any size", (_, { text, points }) => {
  for (const size of [text.length, 1, 2, 3, 7]) {
    const found = read(text, size).rows.map(({ point }) => point);
    const expected = points!.map((point) => ("time" in point ? { ...point, time: new Date(point.time as string).toISOString() } : point));
    expect(found).toEqual(expected);
  }
});

test.each(cases.refused.filter((one) => one.lines).map((one) => [one.name, one] as const))("refuses the lines of %s", (_, { text, lines }) => {
  expect(read(text).rows.filter(({ problem }) => problem).map(({ line }) => line)).toEqual(lines);
});

test.each(["a_quote_that_does_not_end", "text_after_a_quote"])("refuses %s as a whole", (name) => {
  expect(() => read(cases.refused.find((one) => one.name === name)!.text)).toThrow(CsvError);
});

test("a line has the number of its last line, also with line ends in cells that are cut anywhere", () => {
  const text = 'a,b\r\n"1\r\n2\n3",x\r\n\r\ny,"\r"\r\nz,z';
  for (let size = 1; size <= text.length; size += 1) {
    expect(rows(text, size)).toEqual([
      { line: 1, cells: ["a", "b"] },
      { line: 4, cells: ["1\r\n2\n3", "x"] },
      { line: 7, cells: ["y", "\r"] },
      { line: 8, cells: ["z", "z"] },
    ]);
  }
});

test("a quote that swallows the file is noticed early", () => {
  const reader = new Reader();
  expect(() => reader.push(`a,"${"x".repeat(MAX_ROW_CHARS)}`)).toThrow("Line 1 is too long");
});

test("semicolons and tabs are found in the first line, but not within quotes", () => {
  expect([delimiterOf("a;b;c"), delimiterOf("a\tb"), delimiterOf('"a;b;c",d'), delimiterOf("a")]).toEqual([";", "\t", ",", ","]);
});

test.each(["=1", "'=1", "''=1", "'tis", "", "a", "-", "\t", "@x"])("what is guarded is read back: %j", (text) => {
  expect(unguarded(guarded(text))).toBe(text);
  expect(guarded(text)).not.toMatch(/^[=+\-@\t\r]/);
});

test("digits beyond a double are kept both ways", () => {
  const text = "12345678901234567890.5";
  expect(readValue(text)).toEqual(new Digits(text));
  expect(pointJson({ variable: "a", value: readValue(text) })).toBe(`{"variable":"a","value":${text}}`);
  expect(row({ variable: "a", value: readValue(text) }, false)).toBe(`a,${text},,,,,\r\n`);
  expect(readValue("0.1")).toBe(0.1);
  expect(readValue("100000000000000000000")).toBe(1e20);
});

test("values of an answer are what JSON.parse makes, or their digits", () => {
  const [point] = parsePoints('{"result":[{"id":"x","time":"t","value":0.12345678901234567891}]}').result;
  const value = point!.value;
  expect(value instanceof Digits ? value.text : value).toBeOneOf(["0.12345678901234567891", 0.12345678901234568]);
});

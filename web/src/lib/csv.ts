/**
 * CSV by RFC 4180, in pieces, and points as its rows. Pure. `chalicelib/codec/csvtext.py` has the same dialect, and
 * `tests/kit/csv_cases.json` the cases that both read.
 */

export const COLUMNS = ["variable", "value", "unit", "group", "time", "location", "metadata"] as const;
/** A line, and a cell of several lines, has fewer characters: no point needs more. */
export const MAX_ROW_CHARS = 131_072;

/** A number that a double cannot hold exactly, as its digits. */
export class Digits {
  constructor(readonly text: string) {}
}

export type Value = string | number | boolean | Digits;
export interface Place {
  lat: number;
  lng: number;
}
export interface GeoPoint {
  type: "Point";
  coordinates: number[];
}
/** A point as a client sends it. */
export interface Point {
  variable?: string;
  value?: Value;
  unit?: string;
  group?: string;
  time?: string;
  location?: Place | GeoPoint;
  metadata?: Record<string, unknown>;
}
/** A point as the API answers it. */
export interface StoredPoint extends Point {
  id: string;
  time: string;
  location?: GeoPoint;
}

/** The text is no CSV, so what follows cannot be read either. */
export class CsvError extends Error {}

export interface Row {
  /** The number of its last line, from 1 on. */
  line: number;
  cells: string[];
}

const CR = 13;
const LF = 10;
const QUOTE = 34;

/** Reads a text in pieces. A row that is empty is left out. Each piece is gone through once. */
export class Reader {
  #cells: string[] = [];
  #cell = "";
  #state: "start" | "plain" | "quoted" | "closed" = "start";
  #line = 1;
  #chars = 0;
  #isAfterCr = false;
  #isFirst = true;

  constructor(private readonly delimiter = ",") {}

  /** Return the rows that end in this piece. Throws a CsvError. */
  push(text: string): Row[] {
    const rows: Row[] = [];
    const comma = this.delimiter.charCodeAt(0);
    let index = 0;
    if (this.#isFirst && text) {
      this.#isFirst = false;
      if (text.charCodeAt(0) === 0xfeff) index = 1;
    }
    while (index < text.length) {
      const code = text.charCodeAt(index);
      if (this.#isAfterCr) {
        this.#isAfterCr = false;
        if (code === LF) {
          if (this.#state === "quoted") this.#take("\n");
          index += 1;
          continue;
        }
      }
      if (this.#state === "quoted") {
        index = this.#inQuotes(text, index);
      } else if (code === comma) {
        this.#endCell();
        index += 1;
      } else if (code === LF || code === CR) {
        this.#isAfterCr = code === CR;
        this.#endRow(rows);
        index += 1;
      } else if (code === QUOTE && this.#state === "start") {
        this.#state = "quoted";
        index += 1;
      } else if (code === QUOTE && this.#state === "closed") {
        this.#take('"');
        this.#state = "quoted";
        index += 1;
      } else if (this.#state === "closed") {
        throw new CsvError(`Line ${this.#line} is no CSV: a comma must follow a closing quote`);
      } else {
        index = this.#plain(text, index, comma);
      }
    }
    return rows;
  }

  /** Return the last row, if the text does not end with a line end. Throws a CsvError. */
  end(): Row[] {
    if (this.#state === "quoted") throw new CsvError(`Line ${this.#line} is no CSV: a quote does not end`);
    const rows: Row[] = [];
    this.#endRow(rows);
    return rows;
  }

  #inQuotes(text: string, index: number): number {
    let end = index;
    while (end < text.length) {
      const code = text.charCodeAt(end);
      if (code === QUOTE) break;
      if (code === CR || (code === LF && !(end > index && text.charCodeAt(end - 1) === CR))) this.#line += 1;
      end += 1;
    }
    this.#take(text.slice(index, end));
    if (end === text.length) {
      this.#isAfterCr = end > index && text.charCodeAt(end - 1) === CR;
      return end;
    }
    this.#state = "closed";
    return end + 1;
  }

  #plain(text: string, index: number, comma: number): number {
    let end = index + 1;
    while (end < text.length) {
      const code = text.charCodeAt(end);
      if (code === comma || code === LF || code === CR) break;
      end += 1;
    }
    this.#state = "plain";
    this.#take(text.slice(index, end));
    return end;
  }

  #take(text: string): void {
    this.#cell += text;
    this.#chars += text.length;
    if (this.#chars > MAX_ROW_CHARS) throw new CsvError(`Line ${this.#line} is too long: a quote may be missing`);
  }

  #endCell(): void {
    this.#cells.push(this.#cell);
    this.#cell = "";
    this.#state = "start";
  }

  #endRow(rows: Row[]): void {
    if (this.#cells.length > 0 || this.#state !== "start") {
      this.#endCell();
      rows.push({ line: this.#line, cells: this.#cells });
    }
    this.#cells = [];
    this.#chars = 0;
    this.#line += 1;
  }
}

/** Return which of comma, semicolon and tab divides the first line into most cells. */
export function delimiterOf(firstLine: string): string {
  const outside = firstLine.replace(/"[^"]*"/g, "");
  const count = (mark: string) => outside.split(mark).length;
  return [",", ";", "\t"].reduce((best, mark) => (count(mark) > count(best) ? mark : best));
}

const FORMULA = /^'*[=+\-@\t\r]/;
const GUARDED = /^''*[=+\-@\t\r]/;
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

/** Return a text that no spreadsheet takes for a formula. */
export const guarded = (text: string): string => (FORMULA.test(text) ? `'${text}` : text);
/** Return the text that `guarded` was given. */
export const unguarded = (text: string): string => (GUARDED.test(text) ? text.slice(1) : text);

/** Read a cell as a value: a number as in JSON, `true`, `false`, else text. */
export function readValue(cell: string): Value {
  if (NUMBER.test(cell)) return exact(cell);
  if (cell === "true" || cell === "false") return cell === "true";
  return unguarded(cell);
}

/** Return a number of JSON as a number, or as its digits if a double changes it. */
export function exact(text: string): number | Digits {
  const digits = text.replace(/[eE].*|[-.]/g, "").replace(/^0+/, "");
  const number = Number(text);
  if (digits.length <= 15 && (number !== 0 || digits === "") && Number.isFinite(number)) return number;
  return String(number) === text ? number : new Digits(text);
}

/** Read `lat,lng` or `lat,lng,height`. Throws an Error. */
export function readLocation(cell: string): Place | GeoPoint {
  const parts = cell.split(",").map((part) => part.trim());
  if ((parts.length !== 2 && parts.length !== 3) || !parts.every((part) => NUMBER.test(part))) {
    throw new Error("location must be lat,lng in one quoted cell");
  }
  const [lat = 0, lng = 0, ...height] = parts.map(Number);
  return height.length > 0 ? { type: "Point", coordinates: [lng, lat, ...height] } : { lat, lng };
}

/** Read a JSON object. Throws an Error. */
export function readMetadata(cell: string): Record<string, unknown> {
  let read: unknown;
  try {
    read = JSON.parse(cell);
  } catch (error) {
    throw new Error(`metadata is not JSON: ${(error as Error).message}`);
  }
  if (typeof read !== "object" || read === null || Array.isArray(read)) throw new Error("metadata must be a JSON object");
  return read as Record<string, unknown>;
}

/** Return the first row of an export. */
export const header = (hasIds: boolean): string => `${[...COLUMNS, ...(hasIds ? ["id"] : [])].join(",")}\r\n`;

/** Return the row of a point as the API answers it. */
export function row(point: Partial<StoredPoint>, hasIds: boolean): string {
  const { value, location, metadata } = point;
  const cells = [
    guarded(point.variable ?? ""),
    valueCell(value),
    guarded(point.unit ?? ""),
    guarded(point.group ?? ""),
    point.time ?? "",
    location ? placeCell(location.coordinates) : "",
    metadata === undefined || metadata === null ? "" : JSON.stringify(metadata),
  ];
  if (hasIds) cells.push(point.id ?? "");
  return `${cells.map(quoted).join(",")}\r\n`;
}

/** Return cells as a row, whatever is in them. */
export const plainRow = (cells: string[]): string => `${cells.map((cell) => quoted(guarded(cell))).join(",")}\r\n`;

function valueCell(value: Value | null | undefined): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return guarded(value);
  return value instanceof Digits ? value.text : String(value);
}

function placeCell([lng, lat, ...height]: number[]): string {
  return [lat, lng, ...height].join(",");
}

const quoted = (cell: string): string => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

/** Return the JSON of a point, with all digits of its value. */
export function pointJson(point: Point): string {
  if (!(point.value instanceof Digits)) return JSON.stringify(point);
  const rest = JSON.stringify({ ...point, value: undefined });
  return `${rest.slice(0, -1)}${rest === "{}" ? "" : ","}"value":${point.value.text}}`;
}

/** Read an answer with points, with all digits of their values where the browser can tell them. */
export function parsePoints(text: string): { result: StoredPoint[] } {
  if (!/[0-9.]{16}/.test(text)) return JSON.parse(text) as { result: StoredPoint[] };
  const reviver = (key: string, value: unknown, context?: { source?: string }): unknown =>
    key === "value" && typeof value === "number" && context?.source ? exact(context.source) : value;
  return JSON.parse(text, reviver as (key: string, value: unknown) => unknown) as { result: StoredPoint[] };
}

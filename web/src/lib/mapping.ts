/** Which column of a CSV file becomes what, and the points of a row. Pure. */
import { COLUMNS, type Place, type Point, readLocation, readMetadata, readValue, unguarded } from "./csv";
import { isLocalTime, isoOf, type Style, styleOf, withPoint } from "./spreadsheet";

/** What a column becomes: a field of the point, a coordinate, a variable of its own, or nothing. */
export type Target = (typeof COLUMNS)[number] | "latitude" | "longitude" | "own" | "";
/** What a column can become, with a text for people. */
export const TARGETS: [target: Target, text: string][] = [
  ["", "nothing"], ["own", "a variable of its own"], ["variable", "the variable's name"], ["value", "the value"], ["unit", "the unit"], ["group", "the group"],
  ["time", "the time"], ["location", "the location (lat,lng)"], ["latitude", "the latitude"], ["longitude", "the longitude"], ["metadata", "metadata (JSON)"],
];
export interface Column {
  target: Target;
  /** The name of the variable, if it is one of its own. */
  variable: string;
}
export interface Mapping extends Style {
  columns: Column[];
  delimiter: string;
  /** Whether times that name no time zone are those of this browser. Else they are UTC. */
  isLocal: boolean;
}

export type Read = { point: Point; problem: "" } | { point: undefined; problem: string };

const FORBIDDEN = /[*?!<>.\-=$\s\p{Cc}]/u;
const ISO = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:[.,]\d+)?)?)?\s*(Z|[+-]\d{2}:?\d{2})?$/i;
const SYNONYMS: Record<string, Target> = {
  ...Object.fromEntries(COLUMNS.map((name) => [name, name])),
  name: "variable", date: "time", datetime: "time", timestamp: "time", at: "time", units: "unit", serie: "group",
  lat: "latitude", latitude: "latitude", lng: "longitude", lon: "longitude", longitude: "longitude", id: "", device: "",
};

/** Return a guess from the header and some rows: known names are fields; without `variable`, all others are variables, but for times. */
export function guess(header: string[], delimiter: string, rows: string[][] = []): Mapping {
  const names = header.map((cell) => cell.trim().toLowerCase());
  const isWide = !names.some((name) => SYNONYMS[name] === "variable");
  const taken = new Set<Target>();
  const columns = names.map((name): Column => {
    let target: Target = Object.hasOwn(SYNONYMS, name) ? SYNONYMS[name]! : isWide ? "own" : "";
    if (isWide && target === "value") target = "own";
    if (target !== "own" && target !== "" && taken.has(target)) target = "";
    taken.add(target);
    return { target, variable: variableOf(name) };
  });
  if (!taken.has("time")) {
    const at = columns.findIndex(({ target }, index) => target === "own" && rows.length > 0 && rows.every((row) => isTime(row[index] ?? "")));
    if (at >= 0) columns[at]!.target = "time";
  }
  const cells = rows.flat();
  return { columns, delimiter, isLocal: cells.some(isLocalTime), ...styleOf(cells, delimiter) };
}

/** Whether a cell shows a day: a number alone is no time here. */
const isTime = (cell: string): boolean => ISO.test(cell.trim()) || isLocalTime(cell);

/** Return the name that a column gives to a variable: what is not allowed becomes `_`. */
export function variableOf(header: string): string {
  const name = header.trim().toLowerCase().split(new RegExp(FORBIDDEN.source, "gu")).join("_").slice(0, 100);
  return name || "value";
}

/** Return what is wrong with a mapping, or "". */
export function problemOf({ columns }: Mapping): string {
  const targets = columns.map((column) => column.target);
  for (const target of new Set(targets)) {
    if (target !== "" && target !== "own" && targets.filter((other) => other === target).length > 1) {
      return `Two columns cannot both be the ${target}`;
    }
  }
  if (targets.includes("latitude") !== targets.includes("longitude")) return "Latitude and longitude go together";
  if (targets.includes("latitude") && targets.includes("location")) return "Choose one column for the location, or two for latitude and longitude";
  if (!targets.includes("variable") && !targets.includes("own")) return "Say which column names the variable, or which columns are variables of their own";
  if (targets.includes("variable") && targets.includes("own")) return "Either one column names the variable, or columns are variables of their own";
  if (targets.includes("own") && targets.includes("value")) return "A column that is a variable of its own has the value already";
  for (const column of columns) {
    const problem = column.target === "own" ? problemOfVariable(column.variable) : "";
    if (problem) return problem;
  }
  return "";
}

/** Return the points of a row, or why it has none. The same row always gives the same. */
export function pointsOf(cells: string[], mapping: Mapping): Read[] {
  if (cells.length > mapping.columns.length) {
    return [failed(`it has ${cells.length} cells, and there are ${mapping.columns.length} columns: quote a cell that holds "${mapping.delimiter}"`)];
  }
  const shared: Point = {};
  const place: Partial<Place> = {};
  const own: { variable: string; cell: string }[] = [];
  const number = (cell: string) => (mapping.hasDecimalComma ? withPoint(cell) : cell);
  try {
    cells.forEach((cell, index) => {
      const { target, variable } = mapping.columns[index]!;
      if (cell === "" || target === "") return;
      if (target === "own") own.push({ variable, cell });
      else if (target === "latitude") place.lat = coordinate(number(cell), target);
      else if (target === "longitude") place.lng = coordinate(number(cell), target);
      else if (target === "value") shared.value = readValue(number(cell));
      else if (target === "time") shared.time = readTime(cell, mapping);
      else setField(shared, target, cell);
    });
    if (place.lat !== undefined && place.lng !== undefined) shared.location = { lat: place.lat, lng: place.lng };
  } catch (error) {
    return [failed((error as Error).message)];
  }
  const isWide = mapping.columns.some((column) => column.target === "own");
  const points = isWide ? own.map(({ variable, cell }) => ({ variable, value: readValue(number(cell)), ...shared })) : [shared];
  if (points.length === 0) return [failed("it has no value")];
  return points.map((point) => {
    const problem = problemOfPoint(point);
    return problem ? failed(problem) : { point, problem: "" };
  });
}

const failed = (problem: string): Read => ({ point: undefined, problem });

function setField(point: Point, target: Exclude<(typeof COLUMNS)[number], "value" | "time">, cell: string): void {
  if (target === "location") point.location = readLocation(cell);
  else if (target === "metadata") point.metadata = readMetadata(cell);
  else point[target] = unguarded(cell);
}

function coordinate(cell: string, name: string): number {
  const number = Number(cell);
  if (cell.trim() === "" || !Number.isFinite(number)) throw new Error(`${name} must be a number`);
  return number;
}

/** Return a time in ISO 8601 and UTC. Throws an Error. */
export function readTime(cell: string, { isLocal, isDayFirst }: Pick<Mapping, "isLocal" | "isDayFirst">): string {
  const text = isoOf(cell, isDayFirst) || cell.trim();
  let date: Date;
  const parts = ISO.exec(text);
  if (parts) {
    const [, day, clock = "00:00", seconds = ":00", zone] = parts;
    const offset = zone ? (zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone.toUpperCase()) : isLocal ? "" : "Z";
    date = new Date(`${day}T${clock}${seconds.replace(",", ".")}${offset}`);
    if (!isDay(day!)) date = new Date(NaN);
  } else if (/^\d{9,14}(\.\d+)?$/.test(text)) {
    const number = Number(text);
    date = new Date(number < 1e11 ? number * 1_000 : number);
  } else date = new Date(NaN);
  const year = date.getUTCFullYear();
  if (!(year >= 1100 && year <= 9999)) throw new Error("time must be like 2026-01-31T12:00:00Z, 31.01.2026 12:00 or 1769860800");
  return date.toISOString();
}

/** Whether a day is in the calendar: `new Date` makes 2026-03-02 of 2026-02-30. */
function isDay(day: string): boolean {
  const date = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}

const sizeOf = (text: string): number => new TextEncoder().encode(text).length;

function problemOfVariable(name: string): string {
  if (!name) return "variable is missing";
  if (name.length > 100) return "variable must have at most 100 characters";
  return FORBIDDEN.test(name) ? "variable must not contain * ? ! < > . - = $, spaces or control characters" : "";
}

/** Return which rule of points a point breaks, or "". The server checks the rest. */
function problemOfPoint(point: Point): string {
  const problem = problemOfVariable(point.variable ?? "");
  if (problem) return problem;
  if ((point.unit ?? "").length > 25) return "unit must have at most 25 characters";
  if ((point.group ?? "").length > 100) return "group must have at most 100 characters";
  if (typeof point.value === "string" && point.value.length > 1_500 && sizeOf(point.value) > 6_000) return "value must have at most 6000 bytes";
  if (point.metadata && sizeOf(JSON.stringify(point.metadata)) > 10_000) return "metadata must have at most 10000 bytes";
  return point.location ? problemOfLocation(point.location) : "";
}

function problemOfLocation(location: NonNullable<Point["location"]>): string {
  const [lng = 0, lat = 0] = "coordinates" in location ? location.coordinates : [location.lng, location.lat];
  return Math.abs(lat) > 90 || Math.abs(lng) > 180 ? "location must be within -90 to 90 and -180 to 180" : "";
}

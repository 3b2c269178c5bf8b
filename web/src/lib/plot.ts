/** What a plot needs beside uPlot: ranges, intervals, and points as aligned columns. Pure. */
import type { Point } from "./points";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** A range of time in milliseconds since 1970. */
export interface Range {
  fromMs: number;
  toMs: number;
}

/** The ranges that end now, by their names. */
export const SPANS: Record<string, number> = {
  "15 min": 15 * MINUTE_MS,
  Hour: HOUR_MS,
  Day: DAY_MS,
  Week: 7 * DAY_MS,
  Month: 31 * DAY_MS,
  Year: 366 * DAY_MS,
};

const INTERVALS: [string, number][] = [
  ["minute", MINUTE_MS],
  ["5 minutes", 5 * MINUTE_MS],
  ["15 minutes", 15 * MINUTE_MS],
  ["hour", HOUR_MS],
  ["day", DAY_MS],
  ["week", 7 * DAY_MS],
  ["month", 31 * DAY_MS],
  ["year", 366 * DAY_MS],
];
const MAX_BUCKETS = 800;
const RAW_MS = 20 * MINUTE_MS;

/** Return the shortest interval that gives at most 800 buckets; "": the range is so short that each point is drawn. */
export function intervalOf({ fromMs, toMs }: Range): string {
  const spanMs = toMs - fromMs;
  if (spanMs <= RAW_MS) return "";
  return INTERVALS.find(([, ms]) => spanMs / ms <= MAX_BUCKETS)?.[0] ?? "year";
}

/** A value of a variable at a time: a point, or a bucket of an aggregate. */
export interface Sample {
  variable: string;
  value: number;
  time: string;
}

export function isSample(point: Point | Sample): point is Sample & Point {
  return typeof point.value === "number";
}

export type Columns = [timesS: number[], ...values: (number | null | undefined)[][]];

/**
 * Return samples as uPlot wants them: all times, rising, in seconds; then a column for each variable.
 *
 * A variable that has no sample at a time has undefined there, over which uPlot draws the line. Of several samples of
 * a variable at one time, the last stays. n samples cost O(n log n).
 */
export function columnsOf(samples: Sample[], variables: string[]): Columns {
  const rows = new Map<number, (number | undefined)[]>();
  const columnOf = new Map(variables.map((variable, index) => [variable, index]));
  for (const { variable, value, time } of samples) {
    const column = columnOf.get(variable);
    if (column === undefined) continue;
    const timeS = Date.parse(time) / 1_000;
    let row = rows.get(timeS);
    if (!row) rows.set(timeS, (row = Array<number | undefined>(variables.length).fill(undefined)));
    row[column] = value;
  }
  const timesS = [...rows.keys()].sort((a, b) => a - b);
  return [timesS, ...variables.map((_, column) => timesS.map((timeS) => rows.get(timeS)![column]))];
}

/** Return the range that a zoom by a factor around the middle shows; above 1 it shows more. It never ends after now. */
export function zoomed({ fromMs, toMs }: Range, factor: number, nowMs: number): Range {
  const middle = (fromMs + toMs) / 2;
  const half = Math.max(((toMs - fromMs) / 2) * factor, 500);
  const end = Math.min(middle + half, Math.max(nowMs, toMs));
  return { fromMs: Math.round(end - 2 * half), toMs: Math.round(end) };
}

/** Return the scale of each variable: variables of one unit share one. */
export function scaleOf(unit: string | undefined): string {
  return unit ? `unit ${unit}` : "plain";
}

/** Return the value of a column at an index, or the last one before it: what the line shows there. */
export function valueAt(column: (number | null | undefined)[], index: number): number | undefined {
  for (let at = Math.min(index, column.length - 1); at >= 0; at--) {
    const value = column[at];
    if (typeof value === "number") return value;
  }
  return undefined;
}

/**
 * Return the texts of ticks, in the browser's language and time zone. Times of a day have their date below them where
 * it differs from that of the tick before.
 *
 * Args: the ticks in seconds since 1970, and how many seconds lie between two of them.
 */
export function tickTexts(ticksS: number[], stepS: number): string[] {
  const text = (options: Intl.DateTimeFormatOptions) => (timeS: number) => new Date(timeS * 1_000).toLocaleString(undefined, options);
  if (stepS >= 28 * 86_400) return ticksS.map(text({ month: "short", year: "numeric" }));
  const dates = ticksS.map(text({ month: "short", day: "numeric" }));
  if (stepS >= 86_400) return dates;
  const second = stepS < 60 ? ({ second: "2-digit" } as const) : {};
  const times = ticksS.map(text({ hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...second }));
  return times.map((time, index) => (dates[index] === dates[index - 1] ? time : `${time}\n${dates[index]}`));
}

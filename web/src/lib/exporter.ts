/** Exports the points of a range, the newest first, of each variable by itself if some are named. Pure. */
import { ApiError } from "./api";
import { header, parsePoints, pointJson, row, type StoredPoint } from "./csv";

export type Format = "csv" | "ndjson";
export interface Range {
  /** ISO 8601; undefined: from the first point on. */
  start?: string;
  /** ISO 8601. Points that arrive meanwhile are not in the export. */
  end: string;
  /** Empty: all. */
  variables: string[];
}
export interface Page {
  variables?: string;
  start_date?: string;
  end_date: string;
  qty: number;
  skip: number;
}

export const PAGE = 10_000;
const SMALLEST_PAGE = 100;

/**
 * Yield the points of a range in pages, each point once.
 *
 * Variables that are named come one after the other, as `qty` counts the points of each: a page of two would end at
 * another time for each of them. `read` returns the text of an answer. If the answer is too large, the page becomes smaller. The next page ends at the
 * time of the last point; points of that time that were yielded are skipped, and known by their id.
 */
export async function* pagesOf(range: Range, read: (page: Page) => Promise<string>): AsyncGenerator<StoredPoint[]> {
  if (range.variables.length === 0) yield* pagesOfOne(range, undefined, read);
  for (const variable of new Set(range.variables)) yield* pagesOfOne(range, variable, read);
}

async function* pagesOfOne(range: Range, variables: string | undefined, read: (page: Page) => Promise<string>): AsyncGenerator<StoredPoint[]> {
  let end = range.end;
  let qty = PAGE;
  let atEnd = new Set<string>();
  for (;;) {
    let points: StoredPoint[];
    try {
      points = parsePoints(await read({ variables, start_date: range.start, end_date: end, qty, skip: atEnd.size })).result;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 413 || qty <= SMALLEST_PAGE) throw error;
      qty = Math.max(SMALLEST_PAGE, Math.floor(qty / 2));
      continue;
    }
    const last = points.at(-1);
    const fresh = points.filter((point) => !atEnd.has(point.id));
    if (fresh.length > 0) yield fresh;
    if (!last || points.length < qty) return;
    if (last.time !== end) atEnd = new Set();
    end = last.time;
    for (const point of points) if (point.time === end) atEnd.add(point.id);
  }
}

export const TYPES: Record<Format, string> = { csv: "text/csv", ndjson: "application/x-ndjson" };

/** Return the beginning of a file. */
export const begin = (format: Format): string => (format === "csv" ? header(true) : "");

/** Return points as a part of a file. */
export function write(points: StoredPoint[], format: Format): string {
  return points.map((point) => (format === "csv" ? row(point, true) : `${pointJson(point)}\n`)).join("");
}

/** Return how much of a range is done when this point has come, from 0 to 1; undefined: it has no start. */
export function partOf(range: Range, { time, variable = "" }: { time: string; variable?: string }): number | undefined {
  if (range.start === undefined) return undefined;
  const [start, end, now] = [range.start, range.end, time].map(Date.parse) as [number, number, number];
  const part = end > start ? Math.min(1, Math.max(0, (end - now) / (end - start))) : 1;
  return (Math.max(0, range.variables.indexOf(variable)) + part) / Math.max(1, range.variables.length);
}

/** Return a name for the file that every system takes. */
export function fileName(device: string, format: Format, now: string): string {
  const name = device.replace(/[^\p{L}\p{N}_-]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "points";
  return `${name}-${now.slice(0, 10)}.${format}`;
}

/** Exports the points of a range, the newest first: in pages, by a cursor that moves back in time. Pure. */
import { ApiError } from "./api";
import { header, parsePoints, pointJson, row, type StoredPoint } from "./csv";

export type Format = "csv" | "ndjson";
export interface Range {
  /** ISO 8601; undefined: from the first point on. */
  start?: string;
  /** ISO 8601. Points that arrive meanwhile are not in the export. */
  end: string;
  variables: string[];
}
export interface Page {
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
 * `read` returns the text of an answer. If the answer is too large, the page becomes smaller. The next page ends at the
 * time of the last point; points of that time that were yielded are skipped, and known by their id.
 */
export async function* pagesOf(range: Range, read: (page: Page) => Promise<string>): AsyncGenerator<StoredPoint[]> {
  let end = range.end;
  let qty = PAGE;
  let atEnd = new Set<string>();
  for (;;) {
    let points: StoredPoint[];
    try {
      points = parsePoints(await read({ start_date: range.start, end_date: end, qty, skip: atEnd.size })).result;
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

/** Return how much of a range is done when a point of this time has come, from 0 to 1; undefined: it has no start. */
export function partOf(range: Range, time: string): number | undefined {
  if (range.start === undefined) return undefined;
  const [start, end, now] = [range.start, range.end, time].map(Date.parse) as [number, number, number];
  return end > start ? Math.min(1, Math.max(0, (end - now) / (end - start))) : 1;
}

/** Return a name for the file that every system takes. */
export function fileName(device: string, format: Format, now: string): string {
  const name = device.replace(/[^\p{L}\p{N}_-]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "points";
  return `${name}-${now.slice(0, 10)}.${format}`;
}

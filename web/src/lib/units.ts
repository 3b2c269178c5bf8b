/** Texts for people: times, spans, numbers and sizes. Pure. */
import { withPoint } from "./spreadsheet";

const MINUTE_S = 60;
const HOUR_S = 3_600;
const DAY_S = 86_400;

/** Return how long ago a time is, roughly: "now", "5 min ago", "3 h ago", "12 days ago". */
export function ago(time: string | null | undefined, nowMs: number): string {
  if (!time) return "never";
  const seconds = Math.max(0, (nowMs - Date.parse(time)) / 1_000);
  if (seconds < 45) return "now";
  if (seconds < HOUR_S) return `${Math.max(1, Math.round(seconds / MINUTE_S))} min ago`;
  if (seconds < DAY_S) return `${Math.round(seconds / HOUR_S)} h ago`;
  const days = Math.round(seconds / DAY_S);
  return days === 1 ? "1 day ago" : `${days} days ago`;
}

export type Activity = "off" | "silent" | "quiet" | "live";
export const ACTIVITY_TEXT: Record<Activity, string> = {
  live: "Sent within the hour",
  quiet: "Sent within a day",
  silent: "Silent for a day or longer",
  off: "Deactivated",
};

export function activityOf(device: { active: boolean; last_input: string | null }, nowMs: number): Activity {
  if (!device.active) return "off";
  const silentS = device.last_input ? (nowMs - Date.parse(device.last_input)) / 1_000 : Infinity;
  if (silentS < HOUR_S) return "live";
  return silentS < DAY_S ? "quiet" : "silent";
}

/** Return a number with at most six significant digits, as people of this browser's language write it. */
export function numberText(value: number): string {
  return value.toLocaleString(undefined, { maximumSignificantDigits: 6 });
}

/** Return the value of a point as text. */
export function valueText(value: unknown): string {
  if (value === undefined || value === null) return "–";
  return typeof value === "number" ? numberText(value) : String(value);
}

/** Return a time in the browser's time zone, with seconds. */
export function timeText(time: string): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** Return a time as an input of the type datetime-local has it: local, to the millisecond. */
export function toLocalInput(time: string): string {
  const date = new Date(time);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 23);
}

const hasDecimalComma = (1.5).toLocaleString().includes(",");

/**
 * Read a value that a person typed: a number or true and false if it looks like one, else text. "": undefined.
 *
 * `isComma`: whether 21,5 is a number too; if not said, where the browser writes numbers so.
 */
export function typedValue(text: string, isComma = hasDecimalComma): string | number | boolean | undefined {
  const trimmed = isComma ? withPoint(text).trim() : text.trim();
  if (trimmed === "") return undefined;
  if (trimmed === "true" || trimmed === "false") return trimmed === "true";
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed) ? Number(trimmed) : text;
}

export function timeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Numbers and times as a spreadsheet writes them for people: 21,5 and 31.01.2026 14:30. Pure. */

const COMMA = /^[+-]?\d+,\d+$/;
const LOCAL = /^(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:,?[T\s]+(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?(?:\s*([ap])\.?m\.?)?)?$/i;

/** What the first lines of a file show of how its numbers and times are written. */
export interface Style {
  /** Whether 21,5 is a number. */
  hasDecimalComma: boolean;
  /** Whether 03/04/2026 is 3 April; else it is 4 March. Dates with dots always begin with the day. */
  isDayFirst: boolean;
}

/** Guess the style of cells. In a file of commas, 21,5 is quoted text. If no date decides, `isDayFirst` is the browser's habit. */
export function styleOf(cells: string[], delimiter: string): Style {
  const dates = cells.map((cell) => LOCAL.exec(cell.trim())).filter((parts) => parts !== null);
  const isDayFirst = dates.some(([, first]) => Number(first) > 12) || (!dates.some(([, , , second]) => Number(second) > 12) && isDayFirstHere());
  return { hasDecimalComma: delimiter !== "," && cells.some((cell) => COMMA.test(cell.trim())), isDayFirst };
}

/** Whether a cell is a time that names neither its zone nor, with slashes, which number is the day. */
export const isLocalTime = (cell: string): boolean => LOCAL.test(cell.trim());

/** Whether the two first numbers of a date could be either day or month, for a reader who does not know the file. */
export const isAmbiguous = (cell: string): boolean => isLocalTime(cell) && !cell.includes(".");

/** Return a number with a decimal comma as one with a point, any other cell as it is. */
export function withPoint(cell: string): string {
  const text = cell.trim();
  return COMMA.test(text) ? text.replace(",", ".").replace(/^\+/, "") : cell;
}

/** Return a local time as ISO 8601 without a zone, or "" if it is none. Whether its day exists is not looked at. */
export function isoOf(cell: string, isDayFirst: boolean): string {
  const parts = LOCAL.exec(cell.trim());
  if (!parts) return "";
  const [, first = "", separator, second = "", year, hour = "0", minute = "00", seconds = "00", half] = parts;
  const [day, month] = separator === "." || isDayFirst ? [first, second] : [second, first];
  if (half && (Number(hour) < 1 || Number(hour) > 12)) return "";
  const of24 = half ? (Number(hour) % 12) + (half.toLowerCase() === "p" ? 12 : 0) : Number(hour);
  return `${year}-${month.padStart(2, "0")}-${day.padStart(2, "0")}T${String(of24).padStart(2, "0")}:${minute}:${seconds}`;
}

function isDayFirstHere(): boolean {
  const parts = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "numeric", year: "numeric" }).formatToParts();
  return parts.findIndex(({ type }) => type === "day") < parts.findIndex(({ type }) => type === "month");
}

/** What a profile has used, for the view of it. Pure. */

/** What the API says if there is no limit. */
export const UNLIMITED = Number.MAX_SAFE_INTEGER;

export interface Summary {
  limit: Record<string, number>;
  limit_used: Record<string, number>;
  amount: Record<string, number>;
  /** By service: which percentage of its quota was announced. */
  alerts: Record<string, number>;
}
export interface Quota {
  name: string;
  title: string;
  used: number;
  limit: number;
  /** What is used of the quota; undefined: it has no limit. */
  part: number | undefined;
  announced: number;
  /** Whether it begins anew with each month. */
  isMonthly: boolean;
}
const TITLES: Record<string, string> = { input: "Points that came in", output: "Points that were read", data_records: "Points that are stored" };

export function quotasOf({ limit, limit_used: used, alerts }: Summary): Quota[] {
  return Object.entries(TITLES).map(([name, title]) => {
    const allowed = limit[name] ?? UNLIMITED;
    const part = allowed >= UNLIMITED ? undefined : allowed === 0 ? 1 : (used[name] ?? 0) / allowed;
    return { name, title, used: used[name] ?? 0, limit: allowed, part, announced: alerts[name] ?? 0, isMonthly: name !== "data_records" };
  });
}

/** Totals since the beginning of a month, at the end of a day; numbers that are 0 are left out. */
export interface Statistic {
  time: string;
  input?: number;
}
export interface Day {
  day: string;
  input: number;
}

/** Return each day of this month until now, with what came in on it. Days that were left out had nothing new. */
export function daysOf(statistics: Statistic[], now = new Date()): Day[] {
  const totals = new Map<string, number>();
  for (const { time, input = 0 } of statistics) totals.set(time.slice(0, 10), Math.max(input, totals.get(time.slice(0, 10)) ?? 0));
  const days: Day[] = [];
  let before = 0;
  for (let date = 1; date <= now.getUTCDate(); date += 1) {
    const day = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), date)).toISOString().slice(0, 10);
    const total = totals.get(day) ?? before;
    days.push({ day, input: Math.max(0, total - before) });
    before = total;
  }
  return days;
}

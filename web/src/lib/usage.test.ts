import { expect, test } from "vitest";
import { daysOf, quotasOf, UNLIMITED } from "./usage";

test("totals of a month become what came in on each day", () => {
  const statistics = [{ time: "2026-02-04T10:11:12.000Z", input: 15 }, { time: "2026-02-02T00:00:00.000Z", input: 10 }];
  expect(daysOf(statistics, new Date("2026-02-04T10:11:12Z"))).toEqual([
    { day: "2026-02-01", input: 0 }, { day: "2026-02-02", input: 10 }, { day: "2026-02-03", input: 0 }, { day: "2026-02-04", input: 5 },
  ]);
});

test("a quota has a part if it has a limit", () => {
  const [input, output, records] = quotasOf({
    limit: { input: 200, output: UNLIMITED, data_records: 0 }, limit_used: { input: 50, output: 7 }, amount: {}, alerts: { input: 80 },
  });
  expect(input).toMatchObject({ used: 50, limit: 200, part: 0.25, announced: 80, isMonthly: true });
  expect(output).toMatchObject({ used: 7, part: undefined });
  expect(records).toMatchObject({ used: 0, part: 1, isMonthly: false });
});

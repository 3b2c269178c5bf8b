import { expect, it } from "vitest";
import { reveal, windowOf } from "./virtual";

it("draws what is in sight, and a few rows around it", () => {
  expect(windowOf(0, 600, 60, 10_000)).toEqual({ first: 0, end: 16 });
  expect(windowOf(60_000, 600, 60, 10_000)).toEqual({ first: 994, end: 1_016 });
  expect(windowOf(599_400, 600, 60, 10_000)).toEqual({ first: 9_984, end: 10_000 });
});

it("draws rows also if the list has become shorter than where it was scrolled to", () => {
  const { first, end } = windowOf(60_000, 600, 60, 3);
  expect(first).toBe(0);
  expect(end).toBe(3);
});

it("draws nothing of nothing", () => expect(windowOf(0, 600, 60, 0)).toEqual({ first: 0, end: 0 }));

it("scrolls no further than to show a row whole", () => {
  expect(reveal(5, 0, 600, 60)).toBe(0);
  expect(reveal(10, 0, 600, 60)).toBe(60);
  expect(reveal(2, 300, 600, 60)).toBe(120);
});

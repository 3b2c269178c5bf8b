import { describe, expect, it } from "vitest";
import { fit, gridLines, magnified, METRES_PER_DEGREE, moved, project, scaleBar, thinned } from "./map";

const SIZE = { width: 800, height: 400 };
const place = (latitude: number, longitude: number) => ({ latitude, longitude });

describe("fit and project", () => {
  it.each([
    ["one place", [place(48, 11)]],
    ["a town", [place(48.1, 11.5), place(48.2, 11.7), place(48.15, 11.4)]],
    ["the world", [place(-60, -170), place(70, 5)]],
    ["both sides of the date line", [place(-17, 179.5), place(-18, -179.5)]],
    ["near a pole", [place(89.5, 0), place(89.9, 170)]],
  ])("all of %s is in sight", (_, places) => {
    const view = fit(places, SIZE);
    for (const [x, y] of places.map((one) => project(one, view, SIZE))) {
      expect(x).toBeGreaterThanOrEqual(35);
      expect(x).toBeLessThanOrEqual(SIZE.width - 35);
      expect(y).toBeGreaterThanOrEqual(35);
      expect(y).toBeLessThanOrEqual(SIZE.height - 35);
    }
  });

  it("north is up and east is right", () => {
    const view = fit([place(0, 0), place(1, 1)], SIZE);
    const [south, north] = [project(place(0, 0), view, SIZE), project(place(1, 1), view, SIZE)];
    expect(north[0]).toBeGreaterThan(south[0]);
    expect(north[1]).toBeLessThan(south[1]);
  });

  it("does not spread a date-line crossing over the world", () => {
    const view = fit([place(0, 179.9), place(0, -179.9)], SIZE);
    expect(Math.abs(project(place(0, 179.9), view, SIZE)[0] - project(place(0, -179.9), view, SIZE)[0])).toBeGreaterThan(600);
  });
});

it("moves what is shown with the pointer", () => {
  const view = fit([place(48, 11), place(49, 12)], SIZE);
  const [x, y] = project(place(48.5, 11.5), view, SIZE);
  const [movedX, movedY] = project(place(48.5, 11.5), moved(view, 30, -20), SIZE);
  expect(movedX - x).toBeCloseTo(30, 0);
  expect(movedY - y).toBeCloseTo(-20, 5);
});

it("magnifies around the middle", () => {
  const view = fit([place(48, 11), place(49, 12)], SIZE);
  expect(project(view.middle, magnified(view, 2), SIZE)).toEqual([400, 200]);
});

it.each([
  [METRES_PER_DEGREE, "100 m"],
  [METRES_PER_DEGREE * 20, "5 m"],
  [METRES_PER_DEGREE / 60, "5 km"],
  [METRES_PER_DEGREE * 400, "20 cm"],
])("the scale bar at %d pixels a degree is %s", (pixelsPerDegree, text) => {
  const bar = scaleBar({ middle: place(0, 0), pixelsPerDegree }, 120);
  expect(bar.text).toBe(text);
  expect(bar.pixels).toBeLessThanOrEqual(120.01);
  expect(bar.pixels).toBeGreaterThan(45);
});

it("draws grid lines at round degrees", () => {
  expect(gridLines(10.12, 10.58, 5)).toEqual([10.15, 10.2, 10.25, 10.3, 10.35, 10.4, 10.45, 10.5, 10.55]);
  expect(gridLines(-1, 1, 2)).toEqual([-1, 0, 1]);
});

it("thins positions that lie close together, and keeps the first", () => {
  const at = (x: number) => ({ x, y: 0 });
  expect(thinned([0, 1, 2, 8, 9, 20].map(at), 7)).toEqual([0, 8, 20].map(at));
});

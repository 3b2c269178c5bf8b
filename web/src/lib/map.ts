/** The maths of a map without tiles: a plane around the middle of what it shows. Pure. */

/** Degrees. */
export interface Place {
  latitude: number;
  longitude: number;
}
/** What a map shows: the place in the middle, and how many pixels a degree of latitude has. */
export interface View {
  middle: Place;
  pixelsPerDegree: number;
}
export interface Size {
  width: number;
  height: number;
}

export const METRES_PER_DEGREE = 111_320;
const MAX_PIXELS_PER_DEGREE = METRES_PER_DEGREE * 2; // two pixels a metre
const MARGIN = 36;

/** Return the difference of longitudes, the short way round. */
function east(from: number, to: number): number {
  return ((((to - from + 180) % 360) + 360) % 360) - 180;
}

function shrink(latitude: number): number {
  return Math.max(0.01, Math.cos((latitude * Math.PI) / 180));
}

/** Return the view that shows all places. Also across the date line: the longitudes are seen from the first place. */
export function fit(places: Place[], { width, height }: Size): View {
  const origin = places[0]?.longitude ?? 0;
  const easts = places.map((place) => east(origin, place.longitude));
  const latitudes = places.map((place) => place.latitude);
  const [west, far] = bounds(easts);
  const [south, north] = bounds(latitudes);
  const middle = { latitude: (south + north) / 2, longitude: east(0, origin + (west + far) / 2) };
  const across = (far - west) * shrink(middle.latitude);
  const pixelsPerDegree = Math.min(
    (width - 2 * MARGIN) / Math.max(across, 1e-9),
    (height - 2 * MARGIN) / Math.max(north - south, 1e-9),
    MAX_PIXELS_PER_DEGREE,
  );
  return { middle, pixelsPerDegree };
}

function bounds(numbers: number[]): [number, number] {
  if (numbers.length === 0) return [0, 0];
  return numbers.reduce<[number, number]>(([low, high], number) => [Math.min(low, number), Math.max(high, number)], [Infinity, -Infinity]);
}

/** Return where a place is, in pixels from the top left. */
export function project(place: Place, view: View, { width, height }: Size): [x: number, y: number] {
  const { middle, pixelsPerDegree } = view;
  const x = width / 2 + east(middle.longitude, place.longitude) * shrink(middle.latitude) * pixelsPerDegree;
  return [x, height / 2 - (place.latitude - middle.latitude) * pixelsPerDegree];
}

/** Return the view after moving what it shows by so many pixels. */
export function moved(view: View, x: number, y: number): View {
  const { middle, pixelsPerDegree } = view;
  const latitude = Math.max(-89, Math.min(89, middle.latitude + y / pixelsPerDegree));
  const longitude = east(0, middle.longitude - x / (pixelsPerDegree * shrink(middle.latitude)));
  return { middle: { latitude, longitude }, pixelsPerDegree };
}

export function magnified(view: View, factor: number): View {
  return { ...view, pixelsPerDegree: Math.max(1, Math.min(view.pixelsPerDegree * factor, MAX_PIXELS_PER_DEGREE * 4)) };
}

/** Return a round length that is at most so many pixels wide: its pixels and its text. */
export function scaleBar(view: View, maxPixels: number): { pixels: number; text: string } {
  const metresPerPixel = METRES_PER_DEGREE / view.pixelsPerDegree;
  const metres = round(metresPerPixel * maxPixels);
  return { pixels: metres / metresPerPixel, text: metres >= 1_000 ? `${metres / 1_000} km` : metres >= 1 ? `${metres} m` : `${metres * 100} cm` };
}

/** Return the largest of 1, 2 and 5 times a power of ten that is at most a number. */
function round(number: number): number {
  const power = 10 ** Math.floor(Math.log10(number));
  const step = [5, 2, 1].find((digit) => digit * power <= number * (1 + 1e-9)) ?? 1;
  return Number((step * power).toPrecision(1));
}

/** Return the degrees at which to draw lines between two degrees, about `count` of them. */
export function gridLines(low: number, high: number, count: number): number[] {
  const step = round(Math.max(high - low, 1e-9) / count);
  const lines: number[] = [];
  for (let index = Math.ceil(low / step); index * step <= high; index++) lines.push(Number((index * step).toPrecision(12)));
  return lines;
}

/** Return those of positions that are at least so many pixels from the last one returned. The first always is. */
export function thinned<T extends { x: number; y: number }>(positions: T[], pixels: number): T[] {
  const kept: T[] = [];
  for (const position of positions) {
    const last = kept[kept.length - 1];
    if (!last || Math.hypot(position.x - last.x, position.y - last.y) >= pixels) kept.push(position);
  }
  return kept;
}

/** Points as the API returns them, and lists of them. Pure. */

export interface Point {
  id: string;
  variable: string;
  value?: string | number | boolean;
  unit?: string;
  group?: string;
  /** ISO 8601, UTC. */
  time: string;
  location?: { type: "Point"; coordinates: [longitude: number, latitude: number] };
  metadata?: Record<string, unknown>;
}

/** Return both lists as one, the newest first. Of points with the same id, that of `more` stays. */
export function merged(points: Point[], more: Point[]): Point[] {
  const byId = new Map(points.map((point) => [point.id, point]));
  for (const point of more) byId.set(point.id, point);
  return [...byId.values()].sort(newestFirst);
}

function newestFirst(a: Point, b: Point): number {
  if (a.time !== b.time) return a.time < b.time ? 1 : -1;
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}

/** Return the newest point of each variable, by the variable's name. */
export function latest(points: Point[]): Point[] {
  const byVariable = new Map<string, Point>();
  for (const point of points) {
    const known = byVariable.get(point.variable);
    if (!known || newestFirst(point, known) <= 0) byVariable.set(point.variable, point);
  }
  return [...byVariable.values()].sort((a, b) => (a.variable < b.variable ? -1 : 1));
}

/** Return the newest time of points, or the time that was known if it is newer. */
export function newestTime(points: Point[], known: string): string {
  return points.reduce((newest, point) => (point.time > newest ? point.time : newest), known);
}

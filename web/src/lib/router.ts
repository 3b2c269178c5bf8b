/** The router: the view and its arguments are in the hash, as in `#/devices/<id>/points`. */
import { signal } from "@preact/signals";

export interface Place {
  view: string;
  parts: string[];
}

export function parse(hash: string): Place {
  const [view = "", ...parts] = hash.replace(/^#?\/?/, "").split("/").map(decoded);
  return { view: view || "devices", parts };
}

/** Return the hash of a place, for links. */
export function to(view: string, ...parts: string[]): string {
  return `#/${[view, ...parts].map(encodeURIComponent).join("/")}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const place = signal<Place>(parse(location.hash));
addEventListener("hashchange", () => (place.value = parse(location.hash)));

export function go(view: string, ...parts: string[]): void {
  location.hash = to(view, ...parts);
}

/** Tags of devices, and the search for devices by them. Pure. */

export interface Tag {
  key: string;
  value: string;
}

/** Read tags that a person typed: `key: value` a line. Throws an Error that names the line. */
export function parseTags(text: string): Tag[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const colon = line.indexOf(":");
    const [key, value] = [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    if (colon < 1 || !key || !value) throw new Error(`A tag is "key: value", not "${line.trim()}"`);
    return { key, value };
  });
}

export const tagText = ({ key, value }: Tag): string => `${key}: ${value}`;

/** Return whether a device has every word of a search in its name, id or tags. */
export function matches(device: { name: string; id: string; tags: Tag[] }, search: string): boolean {
  const text = `${device.name} ${device.id} ${device.tags.map(tagText).join(" ")}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/* ES2020: classes, private fields, generators, optional chaining, matchAll, spread, regular expressions with names. */
class Frame {
  static KINDS = new Map([[1, "status"], [2, "alarm"]]);
  #bytes;
  constructor(hex) {
    this.#bytes = Uint8Array.from(hex.matchAll(/[0-9a-f]{2}/gi), ([pair]) => parseInt(pair, 16));
  }
  get kind() {
    return Frame.KINDS.get(this.#bytes[0]) ?? `kind ${this.#bytes[0]}`;
  }
  *[Symbol.iterator]() {
    for (const byte of this.#bytes.slice(1)) yield byte;
  }
}
const { value, metadata: { unit = "V", ...rest } = {} } = payload.at(0);
const frame = new Frame(value);
const { major, minor } = /^(?<major>\d+)\.(?<minor>\d+)$/.exec(rest?.firmware ?? "0.0").groups;
payload = [
  ...[...frame].map((byte, index) => ({ variable: `byte_${index}`, value: byte ** 2, unit })),
  { variable: "kind", value: frame.kind },
  { variable: "version", value: Number(major) * 100 + Number(minor) },
  ...Object.entries({ a: 1_000, b: null }).flatMap(([key, number]) => (number?.toFixed ? [{ variable: key, value: number }] : [])),
];

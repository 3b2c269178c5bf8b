/* Reads what Telegraf's outputs.http sends with data_format = "json": one metric, or {"metrics": [...]}.
 *
 * Each field gives a point: usage_idle of the metric cpu becomes cpu_usage_idle. The tags are its metadata, and their
 * values with the metric's name are its group, so a group holds one series: "cpu cpu0 web01". A group that would be too
 * long ends in a hash of the whole. The timestamp may count seconds, milliseconds, microseconds or nanoseconds, or be a
 * text.
 */
const MAX_GROUP = 100;

/** Return a time in milliseconds. Seconds of our days have 10 digits, and each smaller unit has three more. */
function toTime(timestamp) {
  if (typeof timestamp !== "number") return timestamp;
  let milliseconds = timestamp < 1e11 ? timestamp * 1000 : timestamp;
  while (milliseconds >= 1e14) milliseconds /= 1000;
  return Math.floor(milliseconds);
}

/** Return the hash FNV-1a of a text in 8 hex digits. */
function hashOf(text) {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

function groupOf(text) {
  return text.length > MAX_GROUP ? text.slice(0, MAX_GROUP - 9) + " " + hashOf(text) : text;
}

function read(metric) {
  const { name, fields, tags, timestamp } = metric;
  if (!fields) return [metric];
  const keys = Object.keys(tags || {}).sort();
  const common = { group: groupOf([name, ...keys.map((key) => tags[key])].join(" ")) };
  if (keys.length) common.metadata = tags;
  if (timestamp !== undefined) common.time = toTime(timestamp);
  return Object.keys(fields)
    .filter((field) => fields[field] !== null)
    .map((field) => ({ variable: name + "_" + field, value: fields[field], ...common }));
}

/** Return the items of a JSON text. Telegraf calls its body a text, unless its headers are set. */
function fromText(text) {
  try {
    return [].concat(JSON.parse(text));
  } catch (error) {
    throw new Error('The body is not JSON: set data_format = "json" in outputs.http');
  }
}

const items = typeof payload === "string" ? fromText(payload) : payload;
payload = items.flatMap((item) => (item.metrics || [item]).flatMap(read));

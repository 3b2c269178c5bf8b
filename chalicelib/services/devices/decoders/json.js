/* Makes a point of each field of a JSON object: {"temp": 21.5, "door": {"open": true}} gives temp and door_open.
 *
 * time, timestamp or ts is the time of all points of the object; group is their group. lat and lng (or latitude and
 * longitude) become the point location. Objects are flattened, and the items of a list are numbered from 0.
 * null is left out. Points, which have a variable, pass unchanged.
 */
const TIMES = ["time", "timestamp", "ts"];
const LATITUDES = ["lat", "latitude"];
const LONGITUDES = ["lng", "lon", "long", "longitude"];

function isObject(value) {
  return value !== null && typeof value === "object";
}

/** Return the first of the names whose value has the type, or undefined. */
function nameOf(object, names, ...types) {
  return names.find((name) => types.includes(typeof object[name]));
}

/** Add a point, or one for each field of an object or item of a list. */
function add(points, name, value, common) {
  if (value === null || value === undefined) return;
  if (!isObject(value)) {
    points.push({ variable: name, value, ...common });
    return;
  }
  for (const key of Object.keys(value)) add(points, name ? name + "_" + key : key, value[key], common);
}

function pointsOf(object) {
  const rest = { ...object };
  const common = {};
  const points = [];
  const time = nameOf(rest, TIMES, "string", "number");
  if (time) {
    common.time = rest[time];
    delete rest[time];
  }
  if (nameOf(rest, ["group"], "string", "number")) {
    common.group = String(rest.group);
    delete rest.group;
  }
  const lat = nameOf(rest, LATITUDES, "number");
  const lng = nameOf(rest, LONGITUDES, "number");
  if (lat && lng) {
    points.push({ variable: "location", value: rest[lat] + "," + rest[lng], location: { lat: rest[lat], lng: rest[lng] }, ...common });
    delete rest[lat];
    delete rest[lng];
  }
  add(points, "", rest, common);
  return points;
}

/** Return the object or list in a JSON text, or undefined if it holds none. */
function fromText(text) {
  try {
    const value = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch (error) {
    return undefined;
  }
}

function read(item) {
  if (!isObject(item)) throw new Error("Expected a JSON object, got " + JSON.stringify(item).slice(0, 50));
  if (Array.isArray(item)) return item.flatMap(read);
  if (item.variable === undefined) return pointsOf(item);
  const inside = item.variable === "payload" && typeof item.value === "string" ? fromText(item.value) : undefined;
  return inside ? read(inside) : [item];
}

if (typeof payload === "string") {
  const value = fromText(payload);
  if (!value) throw new Error("The body is not a JSON object");
  payload = value;
}
payload = read(payload);

/* An example for LoRaWAN sensors: Cayenne LPP, a public format that many kits and libraries send.
 *
 * A network server's parser runs first and gives points: payload (the bytes in hex) and fport. Each value in the payload
 * is a channel (1 byte), a type (1 byte) and the data. It becomes a point such as temperature_3, for channel 3.
 * What cannot be read gives the point parse_error, and the points before it stay: a network server that gets an error
 * would send the message again.
 */
const TYPES = {
  0: { name: "digital_in", size: 1 },
  1: { name: "digital_out", size: 1 },
  2: { name: "analog_in", size: 2, isSigned: true, step: 0.01 },
  3: { name: "analog_out", size: 2, isSigned: true, step: 0.01 },
  101: { name: "illuminance", size: 2, unit: "lx" },
  102: { name: "presence", size: 1 },
  103: { name: "temperature", size: 2, isSigned: true, step: 0.1, unit: "°C" },
  104: { name: "humidity", size: 1, step: 0.5, unit: "%" },
  113: { name: "acceleration", size: 2, isSigned: true, step: 0.001, unit: "g", axes: ["x", "y", "z"] },
  115: { name: "pressure", size: 2, step: 0.1, unit: "hPa" },
  134: { name: "rotation", size: 2, isSigned: true, step: 0.01, unit: "°/s", axes: ["x", "y", "z"] },
};
const GPS = 136;

/** Round away what floating point adds: 0.1 * 3 is 0.30000000000000004. */
function scaled(number, step = 1) {
  return Math.round(number * step * 1e6) / 1e6;
}

function readValue(bytes, at, { size, isSigned, step }) {
  return scaled(isSigned ? bytes.readIntBE(at, size) : bytes.readUIntBE(at, size), step);
}

function readLocation(bytes, at, channel) {
  const lat = scaled(bytes.readIntBE(at, 3), 0.0001);
  const lng = scaled(bytes.readIntBE(at + 3, 3), 0.0001);
  const altitude = scaled(bytes.readIntBE(at + 6, 3), 0.01);
  return [
    { variable: "location_" + channel, value: lat + "," + lng, location: { lat, lng } },
    { variable: "altitude_" + channel, value: altitude, unit: "m" },
  ];
}

/** Add the points of a payload to a list, so that they stay if the rest cannot be read. */
function decode(bytes, points) {
  let at = 0;
  while (at < bytes.length) {
    const channel = bytes.readUInt8(at);
    const type = bytes.readUInt8(at + 1);
    at += 2;
    if (type === GPS) {
      points.push(...readLocation(bytes, at, channel));
      at += 9;
      continue;
    }
    const format = TYPES[type];
    if (!format) throw new Error(`Channel ${channel} has the unknown type ${type}`);
    for (const axis of format.axes || [""]) {
      const point = { variable: `${format.name}_${channel}${axis && "_" + axis}`, value: readValue(bytes, at, format) };
      points.push(format.unit ? { ...point, unit: format.unit } : point);
      at += format.size;
    }
  }
}

function decodePoint(sent) {
  const points = [];
  try {
    decode(Buffer.from(sent.value, "hex"), points);
  } catch (error) {
    points.push({ variable: "parse_error", value: error.message });
  }
  return points.map((point) => ({
    ...point,
    ...(sent.time === undefined ? {} : { time: sent.time }),
    ...(sent.group === undefined ? {} : { group: sent.group }),
  }));
}

if (Array.isArray(payload)) {
  payload = payload.flatMap((item) =>
    item.variable === "payload" && typeof item.value === "string" ? [item, ...decodePoint(item)] : [item]
  );
}

/* Reads the events of ChirpStack's HTTP integration in JSON: those of version 4, and both JSON formats of version 3.
 *
 * An uplink gives payload (the bytes in hex), fport, fcnt, rssi and snr of the gateway that heard it best, and a point
 * for each field that the codec of the device profile has decoded. The event status gives margin, and battery or
 * external_power; the event location gives location. All other events give no points. In a network of your own, serial
 * selects the device: the DevEUI in upper case.
 */
const BASE64_EUI = /^[0-9a-z+/]{11}=$/i;

function hexOf(base64) {
  return Buffer.from(base64, "base64").toString("hex");
}

/** Return the id of a device or gateway in hex. Version 3 can send it in base64. */
function euiOf(text) {
  return BASE64_EUI.test(text) ? hexOf(text) : text;
}

/** Return the DevEUI in upper case, or undefined. */
function devEui(event) {
  const text = (event.deviceInfo || {}).devEui || event.devEUI;
  return text && euiOf(text).toUpperCase();
}

function locationOf({ latitude: lat, longitude: lng }) {
  return typeof lat === "number" && typeof lng === "number"
    ? [{ variable: "location", value: lat + "," + lng, location: { lat, lng } }]
    : [];
}

/** Return a point for each field; objects are flattened, items of lists numbered from 0, and null is left out. */
function flatten(name, value) {
  if (value === null || value === undefined) return [];
  if (typeof value !== "object") return [{ variable: name, value }];
  return Object.keys(value).flatMap((key) => flatten(name ? name + "_" + key : key, value[key]));
}

/** Return what the codec decoded: an object, or in version 3 also JSON text. */
function decodedBy(event) {
  return event.object || (event.objectJSON ? JSON.parse(event.objectJSON) : {});
}

function signal(gateways) {
  if (!gateways || !gateways.length) return [];
  const gateway = gateways.reduce((one, other) => ((other.rssi || -999) > (one.rssi || -999) ? other : one));
  const metadata = { gateway_id: euiOf(gateway.gatewayId || gateway.gatewayID), gateways: gateways.length };
  const snr = gateway.snr !== undefined ? gateway.snr : gateway.loRaSNR;
  const points = [{ variable: "rssi", value: gateway.rssi || 0, unit: "dBm", metadata }];
  if (snr !== undefined) points.push({ variable: "snr", value: snr, unit: "dB", metadata });
  return points;
}

function uplinkPoints(event) {
  const info = event.deviceInfo || event;
  const metadata = { dev_eui: devEui(event), device_name: info.deviceName, application_name: info.applicationName };
  const decoded = decodedBy(event);
  const points = event.data ? [{ variable: "payload", value: hexOf(event.data), metadata }] : [];
  return [
    ...points,
    { variable: "fport", value: event.fPort || 0 },
    { variable: "fcnt", value: event.fCnt || 0 },
    ...signal(event.rxInfo),
    ...flatten("", decoded),
    ...locationOf(decoded),
  ];
}

function statusPoints(event) {
  const points = [{ variable: "margin", value: event.margin || 0, unit: "dB" }];
  if (event.externalPowerSource) points.push({ variable: "external_power", value: true });
  else if (!event.batteryLevelUnavailable) points.push({ variable: "battery", value: event.batteryLevel || 0, unit: "%" });
  return points;
}

/** Return the points of an event. The body does not name its kind, so the fields that only one kind has decide. */
function pointsOf(event) {
  const has = (...names) => names.some((name) => event[name] !== undefined && event[name] !== null);
  if (has("acknowledged", "integrationName")) return [];
  const isUplink = has("data", "object", "objectJSON") || (has("rxInfo") && has("fPort", "fCnt"));
  if (isUplink) return uplinkPoints(event);
  if (has("margin", "batteryLevel", "batteryLevelUnavailable", "externalPowerSource")) return statusPoints(event);
  return has("location") ? locationOf(event.location) : [];
}

/** Return the points of an event. Anything else, such as a point, passes unchanged. */
function read(event) {
  const eui = devEui(event);
  if (!eui) return [event];
  serial = eui;
  const gatewayTime = (event.rxInfo || []).map((gateway) => gateway.time).find(Boolean);
  const time = event.time || gatewayTime || event.publishedAt;
  return pointsOf(event).map((point) => (time ? { ...point, time } : point));
}

if (typeof payload === "string") throw new Error("The body is not JSON: set the integration's encoding to JSON");
payload = payload.flatMap(read);

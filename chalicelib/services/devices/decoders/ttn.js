/* Reads the webhook messages of The Things Stack v3 (The Things Network, The Things Industries).
 *
 * An uplink gives payload (the bytes in hex), fport, fcnt, rssi and snr of the gateway that heard it best, and a point
 * for each field that the payload formatter of the application has decoded. A solved location gives location.
 * All other messages give no points. In a network of your own, serial selects the device: the DevEUI in upper case.
 */
function locationOf(object) {
  const { latitude: lat, longitude: lng } = object;
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

/** Return what the gateway with the strongest signal reports. */
function best(gateways) {
  return gateways.reduce((one, other) => ((other.rssi || -999) > (one.rssi || -999) ? other : one));
}

function signal(uplink) {
  if (!uplink.rx_metadata || !uplink.rx_metadata.length) return [];
  const gateway = best(uplink.rx_metadata);
  const metadata = { gateway_id: (gateway.gateway_ids || {}).gateway_id, gateways: uplink.rx_metadata.length };
  const points = [{ variable: "rssi", value: gateway.rssi || 0, unit: "dBm", metadata }];
  if (gateway.snr !== undefined) points.push({ variable: "snr", value: gateway.snr, unit: "dB", metadata });
  return points;
}

/** Return payload and fport. An uplink without bytes may have a port; port 0 is left out of the message. */
function frame(uplink, ids) {
  const port = { variable: "fport", value: uplink.f_port || 0 };
  if (!uplink.frm_payload) return uplink.f_port ? [port] : [];
  const lora = ((uplink.settings || {}).data_rate || {}).lora || {};
  const metadata = {
    device_id: ids.device_id,
    dev_eui: ids.dev_eui,
    application_id: (ids.application_ids || {}).application_id,
    spreading_factor: lora.spreading_factor,
    frequency: (uplink.settings || {}).frequency,
  };
  return [
    { variable: "payload", value: Buffer.from(uplink.frm_payload, "base64").toString("hex"), metadata },
    port,
  ];
}

function uplinkPoints(uplink, ids) {
  const decoded = uplink.decoded_payload || {};
  return [
    ...frame(uplink, ids),
    { variable: "fcnt", value: uplink.f_cnt || 0 },
    ...signal(uplink),
    ...flatten("", decoded),
    ...locationOf(decoded),
  ];
}

/** Return the points of a message. Anything else, such as a point, passes unchanged. */
function read(message) {
  const ids = message.end_device_ids;
  if (!ids) return [message];
  if (ids.dev_eui) serial = ids.dev_eui.toUpperCase();
  const uplink = message.uplink_message;
  const points = uplink ? uplinkPoints(uplink, ids) : locationOf((message.location_solved || {}).location || {});
  const time = (uplink && uplink.received_at) || message.received_at;
  return time ? points.map((point) => ({ ...point, time })) : points;
}

if (typeof payload === "string") throw new Error("The body is not JSON: set the webhook's format to JSON");
payload = payload.flatMap(read);

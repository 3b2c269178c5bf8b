// Many decoders name a variable as one of the globals.
const raw_payload = payload.find((x) => x.variable === "payload_raw" || x.variable === "payload" || x.variable === "data");
const device = { kind: "local" };
if (raw_payload) {
  const { value, group, time } = raw_payload;
  const buffer = Buffer.from(value, "hex");
  payload.push({ variable: "level", value: buffer.readUInt8(0), group, time });
  payload.push({ variable: "kind", value: device.kind, group, time });
}

// Too few bytes: the read past the end is an error, which becomes a point.
const sent = payload.find((item) => item.variable === "payload");
try {
  const buffer = Buffer.from(sent.value, "hex");
  payload = payload.concat([
    { variable: "first", value: buffer.readUInt16BE(0) },
    { variable: "second", value: buffer.readUInt32BE(2) },
  ]);
} catch (e) {
  console.error(e);
  console.error(e.message);
  payload = [{ variable: "parse_error", value: e.message }];
}

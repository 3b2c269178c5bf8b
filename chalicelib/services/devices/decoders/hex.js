/* An example for sensors that send bytes, written in hex: 01 0929 63 0BB8 8000003C, blanks are left out.
 *
 *   byte  0     version of the format, 1
 *   bytes 1-2   temperature in hundredths of a degree Celsius, signed
 *   byte  3     relative humidity in halves of a percent
 *   bytes 4-5   voltage of the battery in millivolts
 *   bytes 6-9   optional: flag "door is open" in the highest bit, and seconds since the last opening in the other 31
 *
 * The text is the whole body, or the value of a point with the variable payload. Such a point passes as well, and its
 * time and group are those of the new points. Copy this file, and change decode() to what your sensor sends.
 */
function decode(hex) {
  const text = hex.replace(/\s|^0x/g, "");
  if (!/^([0-9a-f]{2})+$/i.test(text)) throw new Error("The payload is not hex: " + hex.slice(0, 50));
  const bytes = Buffer.from(text, "hex");
  if (bytes[0] !== 1) throw new Error("Unknown version " + bytes[0]);
  if (bytes.length !== 6 && bytes.length !== 10) throw new Error("Expected 6 or 10 bytes, got " + bytes.length);
  const points = [
    { variable: "temperature", value: bytes.readInt16BE(1) / 100, unit: "°C" },
    { variable: "humidity", value: bytes.readUInt8(3) / 2, unit: "%" },
    { variable: "battery", value: bytes.readUInt16BE(4) / 1000, unit: "V" },
  ];
  if (bytes.length === 10) {
    const door = bytes.readUInt32BE(6);
    points.push({ variable: "door_open", value: door >>> 31 === 1 });
    points.push({ variable: "door_age", value: door & 0x7fffffff, unit: "s" });
  }
  return points;
}

if (typeof payload === "string") {
  payload = decode(payload);
} else {
  const sent = payload.find((item) => item.variable === "payload");
  if (sent) {
    const common = {};
    if (sent.time !== undefined) common.time = sent.time;
    if (sent.group !== undefined) common.group = sent.group;
    payload = payload.concat(decode(String(sent.value)).map((point) => ({ ...point, ...common })));
  }
}

// Variables without a declaration, in loops and elsewhere, as sloppy mode allows.
bytes = Buffer.from(payload.find((x) => x.variable == "payload").value, "hex");
decoded = [];
for (i = 0; i < bytes.length; i += 3) {
  channel = bytes[i];
  raw = (bytes[i + 1] << 8) | bytes[i + 2];
  if (raw > 32767) raw = raw - 65536;
  decoded.push({ variable: "channel_" + channel, value: raw / 10 });
}
for (key in { a: 1, b: 2 }) decoded.push({ variable: key, value: i });
total = 010 + decoded.length;
decoded.push({ variable: "total", value: total });
payload = decoded;

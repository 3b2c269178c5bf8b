// A logger that sends 29 intervals at once: 58 points.
const bytes = Buffer.from(payload[0].value, "base64");
const start = new Date(payload[0].time).getTime();
const points = [];
for (let interval = 0; interval < bytes.length / 2; interval++) {
  const time = new Date(start - interval * 15 * 60 * 1000).toISOString();
  points.push({ variable: "flow", value: bytes[2 * interval], time, unit: "l/min" });
  points.push({ variable: "pressure", value: bytes[2 * interval + 1] / 10, time, unit: "bar" });
}
payload = points;

// Only one variable is of interest; all others pass, and the known ones that nobody needs are removed.
const ignored = ["rssi", "snr"];
payload = payload.filter((item) => !ignored.includes(item.variable));
const sent = payload.find((item) => item.variable === "frame");
if (sent) {
  payload = payload.concat({ variable: "decoded", value: parseInt(sent.value, 16), group: sent.group });
}

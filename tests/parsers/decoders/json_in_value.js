// The body of a network server: points whose value is JSON text. The serial number selects the device.
const message = JSON.parse(payload.find((item) => item.variable === "payload").value);
serial = String(message.deviceId).toLowerCase();
payload = message.readings.map((reading) => ({
  variable: reading.k,
  value: reading.v,
  time: new Date(message.ts * 1000),
  metadata: { topic: payload[0].metadata && payload[0].metadata.topic },
}));

// The old constructor, with a list, a text and a size.
var bytes = payload[0].value.match(/../g).map(function (pair) { return parseInt(pair, 16); });
var buffer = new Buffer(bytes);
var text = new Buffer("Grüße", "utf8");
payload = [
  { variable: "number", value: buffer.readInt16LE(0) },
  { variable: "float", value: buffer.readFloatBE(2) },
  { variable: "text", value: text.toString("base64") },
  { variable: "sum", value: Array.prototype.reduce.call(buffer, function (a, b) { return a + b; }, 0) },
  { variable: "is_buffer", value: Buffer.isBuffer(buffer) && buffer instanceof Uint8Array },
];

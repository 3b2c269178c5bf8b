// A 64-bit counter, in two halves and as a BigInt; a point cannot hold a BigInt, so it becomes a number or text.
function readUInt64(buffer, at) {
  const high = BigInt(buffer.readUInt32BE(at));
  const low = BigInt(buffer.readUInt32BE(at + 4));
  return BigInt.asUintN(64, (high << 32n) | low);
}
const buffer = Buffer.from(payload[0].value, "hex");
const counter = readUInt64(buffer, 0);
const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
payload = [
  { variable: "counter", value: counter.toString() },
  { variable: "low", value: Number(BigInt.asUintN(32, counter)) },
  { variable: "signed", value: String(BigInt.asIntN(64, counter)) },
  { variable: "same", value: view.getBigUint64(0) === counter },
];

// A CBOR reader that calls itself, with half floats.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * Math.pow(2, -24);
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * Math.pow(2, exponent - 15) * (1 + fraction / 1024);
}

function Reader(buffer) {
  this.buffer = buffer;
  this.at = 0;
}

Reader.prototype.take = function (size) {
  const from = this.at;
  this.at += size;
  return this.buffer.readUIntBE(from, size);
};

Reader.prototype.read = function () {
  const head = this.take(1);
  const major = head >> 5;
  const info = head & 31;
  if (major === 7) {
    switch (info) {
      case 20:
        return false;
      case 21:
        return true;
      case 22:
        return null;
      case 25:
        return half(this.take(2));
      case 26:
        this.at += 4;
        return this.buffer.readFloatBE(this.at - 4);
      case 27:
        this.at += 8;
        return this.buffer.readDoubleBE(this.at - 8);
    }
  }
  const size = info < 24 ? info : this.take(1 << (info - 24));
  switch (major) {
    case 0:
      return size;
    case 1:
      return -1 - size;
    case 2:
      this.at += size;
      return this.buffer.slice(this.at - size, this.at).toString("hex");
    case 3:
      this.at += size;
      return this.buffer.slice(this.at - size, this.at).toString("utf8");
    case 4:
      return Array.from({ length: size }, () => this.read());
    case 5: {
      const map = {};
      for (let n = 0; n < size; n++) map[this.read()] = this.read();
      return map;
    }
  }
  throw new Error("CBOR type " + major);
};

const decoded = new Reader(Buffer.from(payload[0].value, "base64")).read();
payload = Object.keys(decoded)
  .filter((key) => decoded[key] !== null)
  .map((key) => ({ variable: key, value: Array.isArray(decoded[key]) ? decoded[key].join(";") : decoded[key] }));

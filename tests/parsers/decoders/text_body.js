// The body is text and not JSON, so payload is a string, and raw_payload stays what was sent.
const pairs = payload.split("&").map((pair) => pair.split("="));
payload = pairs.map(([variable, value]) => ({ variable, value: isNaN(value) ? value : Number(value) }));
payload.push({ variable: "raw", value: raw_payload });
console.log("read", pairs.length, "pairs", { of: raw_payload });

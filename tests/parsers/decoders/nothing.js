// A message without data: nothing is stored.
if (payload.every((item) => item.variable === "keepalive")) payload = [];
else payload = null;

// The result is one point and no list.
payload = { variable: "only", value: payload.length };

// No Error, but a plain string.
if (payload[0].value !== "good") throw "Frame type not supported";

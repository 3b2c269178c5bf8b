payload = payload.map(function (item) { return { variable: item.variable, value: item.value * 2 }; });
// the end
// What to do is a parameter of the device, which it may not have.
const mode = device.params.find((param) => param.key === "mode");
const factor = device.params.find((param) => param.key === "factor")?.value ?? 1;
const site = (device.tags.find((tag) => tag.key === "site") || {}).value;
const value = mode && mode.value === "celsius" ? ((payload[0].value - 32) * 5) / 9 : payload[0].value;
payload = [{ variable: "temperature", value: value * Number(factor), metadata: { site } }];

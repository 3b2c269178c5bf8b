import { describe, expect, it } from "vitest";
import { mqttOf, snippetsOf, type Target } from "./snippets";

const LOCAL: Target = { url: "http://127.0.0.1:8000", store: "sqlite", token: "d3f1" };
const AWS: Target = { url: "https://abc.execute-api.eu-central-1.amazonaws.com/api", store: "dynamodb", token: "d3f1" };

it.each([LOCAL, AWS])("every snippet has the token, and what speaks HTTP the address", (target) => {
  for (const { name, text } of snippetsOf(target)) {
    expect(text, name).toContain("d3f1");
    if (name !== "mosquitto_pub") expect(text, name).toContain(target.url);
  }
});

describe("mqttOf", () => {
  it("is this machine's port in the embedded mode", () => {
    expect(mqttOf(LOCAL)).toMatchObject({ host: "127.0.0.1", port: 1883, isTls: false });
    expect(mqttOf(LOCAL).note).toContain("DECANT_MQTT_PORT");
  });
  it("is TLS behind https", () => expect(mqttOf({ ...LOCAL, url: "https://iot.example" })).toMatchObject({ host: "iot.example", port: 8883, isTls: true }));
  it("is not the API's host on AWS", () => expect(mqttOf(AWS)).toMatchObject({ host: "MQTT_ENDPOINT", port: 8883 }));
});

it("says that other machines cannot reach this one, and does not say it of a public address", () => {
  const arduino = (target: Target) => snippetsOf(target).find(({ name }) => name === "Arduino")!;
  expect(arduino(LOCAL).note).toContain("DECANT_HOST");
  expect(arduino(AWS).note).not.toContain("DECANT_HOST");
  expect(arduino(AWS).text).toContain("WiFiClientSecure client;");
  expect(arduino(LOCAL).text).toContain("WiFiClient client;");
});

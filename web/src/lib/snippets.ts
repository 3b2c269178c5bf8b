/** Programs that send a point, ready to paste, with a device's token in them. Pure. */

export interface Target {
  /** The API's address without a slash at its end. */
  url: string;
  /** What GET /status says: "sqlite" in the embedded mode, "dynamodb" on AWS; "": not known. */
  store: string;
  token: string;
}

export interface Snippet {
  name: string;
  /** What to install or to know first. */
  note: string;
  text: string;
}

export interface Mqtt {
  host: string;
  port: number;
  isTls: boolean;
  note: string;
}

/** Return where MQTT is. The API does not say it, so this is the default, and the note says when it differs. */
export function mqttOf({ url, store }: Target): Mqtt {
  if (store === "dynamodb") {
    return { host: "MQTT_ENDPOINT", port: 8883, isTls: true, note: "MQTT_ENDPOINT is what `python -m deploy up` printed." };
  }
  const { hostname, protocol } = new URL(url);
  const isTls = protocol === "https:";
  const setting = isTls ? "DECANT_MQTTS_PORT" : "DECANT_MQTT_PORT";
  const port = isTls ? 8883 : 1883;
  return { host: hostname, port, isTls, note: `The port is ${port} unless ${setting} names another.` };
}

export function snippetsOf(target: Target): Snippet[] {
  const { url, token } = target;
  const mqtt = mqttOf(target);
  const isTls = url.startsWith("https:");
  return [
    {
      name: "curl",
      note: "Needs nothing else.",
      text: `curl -X POST ${url}/data \\
  -H 'Device-Token: ${token}' -H 'Content-Type: application/json' \\
  -d '{"variable": "temperature", "value": 21.5, "unit": "C"}'
`,
    },
    {
      name: "Python",
      note: "pip install tagoio-sdk",
      text: `import os

os.environ["TAGOIO_API"] = "${url}"  # before the import
from tagoio_sdk import Device

device = Device({"token": "${token}"})
print(device.sendData({"variable": "temperature", "value": 21.5, "unit": "C"}))
`,
    },
    {
      name: "JavaScript",
      note: "npm install @tago-io/sdk, and save it as send.cjs",
      text: `process.env.TAGOIO_API = "${url}"; // before the import
const { Device } = require("@tago-io/sdk");

const device = new Device({ token: "${token}" });
device.sendData({ variable: "temperature", value: 21.5, unit: "C" }).then(console.log, console.error);
`,
    },
    {
      name: "mosquitto_pub",
      note: `Debian's package mosquitto-clients. ${mqtt.note}`,
      text: `mosquitto_pub -h ${mqtt.host} -p ${mqtt.port} ${mqtt.isTls ? "--tls-use-os-certs " : ""}-u Token -P ${token} -q 1 \\
  -t tago/data/post -m '{"variable": "temperature", "value": 21.5, "unit": "C"}'
`,
    },
    { name: "Arduino", note: `For an ESP32. ${reachable(url)}`, text: arduino(url, token, isTls) },
    { name: "MicroPython", note: `For a board with Wi-Fi; mip.install("requests") if it lacks that. ${reachable(url)}`, text: microPython(url, token) },
    {
      name: "TTN webhook",
      note: `Add a custom webhook to the application in The Things Stack. ${reachable(url)}`,
      text: `Webhook format      JSON
Base URL            ${url}
Additional headers  Device-Token: ${token}
Enabled events      Uplink message, path /data
`,
    },
  ];
}

/** Return the advice for programs that run on another machine than the server. */
function reachable(url: string): string {
  const isLocal = /^(localhost|127\.|\[::1\])/.test(new URL(url).host);
  return isLocal ? `Other machines cannot reach ${new URL(url).hostname}: start the server with DECANT_HOST=0.0.0.0 and put its address here.` : "";
}

function arduino(url: string, token: string, isTls: boolean): string {
  return `#include <WiFi.h>
#include <HTTPClient.h>
${isTls ? "#include <WiFiClientSecure.h>\n" : ""}
void setup() {
  Serial.begin(115200);
  WiFi.begin("your network", "its password");
  while (WiFi.status() != WL_CONNECTED) delay(200);
}

void loop() {
  ${isTls ? "WiFiClientSecure client;\n  client.setInsecure();  // for a trial; later use setCACert" : "WiFiClient client;"}
  HTTPClient http;
  http.begin(client, "${url}/data");
  http.addHeader("Device-Token", "${token}");
  http.addHeader("Content-Type", "application/json");
  int status = http.POST("{\\"variable\\": \\"temperature\\", \\"value\\": 21.5, \\"unit\\": \\"C\\"}");
  Serial.println(status);  // 200: stored
  http.end();
  delay(60000);
}
`;
}

function microPython(url: string, token: string): string {
  return `import network
import time

import requests

wifi = network.WLAN(network.STA_IF)
wifi.active(True)
wifi.connect("your network", "its password")
while not wifi.isconnected():
    time.sleep(0.2)

answer = requests.post(
    "${url}/data",
    headers={"Device-Token": "${token}"},
    json={"variable": "temperature", "value": 21.5, "unit": "C"},
)
print(answer.json())
answer.close()
`;
}

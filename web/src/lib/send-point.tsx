/** A form that sends a point as the device itself would, with one of its tokens. */
import { useSignal } from "@preact/signals";
import { ApiError, call } from "./api";
import { listTokens } from "./device";
import { Dialog } from "./dialog";
import type { Feed } from "./feed";
import { Form, Input } from "./form";
import { typedValue } from "./units";

export function SendPoint({ device, feed, onClose }: { device: string; feed: Feed; onClose: () => void }) {
  const done = useSignal("");
  const send = async ({ variable = "", value = "", unit = "", place = "" }: Record<string, string>) => {
    done.value = "";
    const tokens = await listTokens(device);
    const token = tokens.find((one) => one.token && one.permission !== "read")?.token;
    if (!token) throw new Error("The device has no token that may send. Make one under Connect.");
    const point = { variable, value: typedValue(value), unit: unit || undefined, location: placeOf(place) };
    try {
      done.value = await call<string>("POST", "data", { token, body: [point] });
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        throw new ApiError("The device was refused: is it deactivated, or its token expired?", 401, error.requestId);
      }
      throw error;
    }
    feed.poke();
  };
  return (
    <Dialog title="Send a test point" onClose={onClose}>
      <Form send="Send" onSend={send}>
        <Input label="Variable" name="variable" required maxLength={100} defaultValue="temperature" autocomplete="off" />
        <Input label="Value" name="value" autocomplete="off" defaultValue="21.5" hint="A number such as 21.5, true or false, or text." />
        <Input label="Unit" name="unit" maxLength={25} autocomplete="off" defaultValue="°C" />
        <Input label="Location" name="place" autocomplete="off" placeholder="48.137, 11.575" hint="Latitude and longitude in degrees. May be empty." />
        <p role="status" class="good">{done.value}</p>
      </Form>
    </Dialog>
  );
}

/** Read "latitude, longitude". "": undefined. */
export function placeOf(text: string): { lat: number; lng: number } | undefined {
  if (!text.trim()) return undefined;
  const [lat, lng, ...rest] = text.split(",").map(Number);
  if (lat === undefined || lng === undefined || rest.length > 0 || !Number.isFinite(lat) || !Number.isFinite(lng)) {
    throw new Error("A location is latitude, longitude in degrees, such as 48.137, 11.575");
  }
  return { lat, lng };
}

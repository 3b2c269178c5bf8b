/** The devices of the profile. */
import { useSignal } from "@preact/signals";
import { CreateDevice } from "../lib/create-device";
import { type Listed, listDevices } from "../lib/device";
import { useLoad } from "../lib/load";
import { Problem } from "../lib/problem";
import { to } from "../lib/router";
import { Rows } from "../lib/rows";
import { session } from "../lib/session";
import { matches, tagText } from "../lib/tags";
import { type Activity, ACTIVITY_TEXT, activityOf, ago } from "../lib/units";

const ROW_PX = 60;
const NAMES: Record<Activity, string> = { live: "Live", quiet: "Quiet", silent: "Silent", off: "Off" };
type Order = "name" | "recent";

export default function Devices() {
  const { value: devices, error, isLoading, reload } = useLoad(listDevices, []);
  const search = useSignal("");
  const activity = useSignal<Activity | "">("");
  const order = useSignal<Order>("name");
  const isCreating = useSignal(false);
  const nowMs = Date.now();
  const mayWrite = session.value?.permission !== "read";

  const found = (devices ?? []).filter((device) => matches(device, search.value));
  const shown = found.filter((device) => !activity.value || activityOf(device, nowMs) === activity.value);
  if (order.value === "recent") shown.sort((a, b) => (b.last_input ?? "").localeCompare(a.last_input ?? ""));
  const countOf = (name: Activity) => found.filter((device) => activityOf(device, nowMs) === name).length.toLocaleString();

  return (
    <div class="full">
      <div class="bar">
        <h1>Devices</h1>
        {devices && <span class="quiet">{devices.length.toLocaleString()}</span>}
        <button type="button" class="push" aria-label="Refresh" title="Refresh" disabled={isLoading} onClick={reload}>⟳</button>
        {mayWrite && <button type="button" class="primary" onClick={() => (isCreating.value = true)}>New device</button>}
      </div>
      <Problem error={error} retry={reload} />
      {!devices && isLoading && <p class="quiet" role="status">Loading…</p>}
      {devices?.length === 0 && (
        <div class="empty">
          <p>There is no device yet.</p>
          <p>{mayWrite ? "Create one: you get a token, and a program that sends the first point." : "Sign in with a token that may write to create one."}</p>
        </div>
      )}
      {devices && devices.length > 0 && (
        <>
          <div class="bar filters">
            <input
              type="search" class="search" aria-label="Search by name, tag or id" placeholder="Search by name, tag or id"
              value={search.value} onInput={(event) => (search.value = event.currentTarget.value)}
            />
            <select aria-label="Activity" value={activity.value} onChange={(event) => (activity.value = event.currentTarget.value as Activity | "")}>
              <option value="">All ({found.length.toLocaleString()})</option>
              {(Object.keys(NAMES) as Activity[]).map((name) => (
                <option key={name} value={name}>{NAMES[name]} ({countOf(name)})</option>
              ))}
            </select>
            <select aria-label="Order" value={order.value} onChange={(event) => (order.value = event.currentTarget.value as Order)}>
              <option value="name">By name</option>
              <option value="recent">Newest first</option>
            </select>
          </div>
          {shown.length === 0 && <p class="empty">No device fits. Search for less, or choose another activity.</p>}
          {shown.length > 0 && (
            <Rows label="Devices" items={shown} rowHeight={ROW_PX} keyOf={({ id }) => id}>
              {(device) => <Row device={device} nowMs={nowMs} onTag={(text) => (search.value = text)} />}
            </Rows>
          )}
        </>
      )}
      {isCreating.value && <CreateDevice onCreated={reload} onClose={() => (isCreating.value = false)} />}
    </div>
  );
}

function Row({ device, nowMs, onTag }: { device: Listed; nowMs: number; onTag: (text: string) => void }) {
  const activity = activityOf(device, nowMs);
  return (
    <div class="device-row">
      <span class={`dot ${activity}`} title={ACTIVITY_TEXT[activity]} />
      <a href={to("device", device.id, "live")}>{device.name}</a>
      <span class="tags">
        {device.tags.slice(0, 3).map((tag, index) => (
          <button type="button" class="badge" key={index} title="Show all devices with this tag" onClick={() => onTag(tagText(tag))}>
            {tagText(tag)}
          </button>
        ))}
        {device.tags.length > 3 && <span class="quiet">+{device.tags.length - 3}</span>}
      </span>
      <span class="when quiet">
        <span class="sr">{ACTIVITY_TEXT[activity]}. Last point: </span>
        {device.active ? ago(device.last_input, nowMs) : "off"}
      </span>
    </div>
  );
}

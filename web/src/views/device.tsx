/** A device: its head, and a tab for each thing that one does with it. */
import { useComputed, useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { get } from "../lib/api";
import type { Device } from "../lib/device";
import { Feed, type FeedState } from "../lib/feed";
import { Lazy } from "../lib/lazy";
import { useLoad } from "../lib/load";
import { Problem } from "../lib/problem";
import { to } from "../lib/router";
import { SendPoint } from "../lib/send-point";
import { session } from "../lib/session";
import { tagText } from "../lib/tags";
import { activityOf, ACTIVITY_TEXT } from "../lib/units";

export interface TabProps {
  device: Device;
  feed: Feed;
  /** Read the device again, as it was changed. */
  reload: () => void;
}

const TABS: Record<string, { title: string; load: () => Promise<{ default: ComponentType<TabProps> }> }> = {
  live: { title: "Live", load: () => import("./device/live") },
  points: { title: "Points", load: () => import("./device/points") },
  map: { title: "Map", load: () => import("./device/map") },
  inspector: { title: "Inspector", load: () => import("./device/inspector") },
  connect: { title: "Connect", load: () => import("./device/connect") },
  params: { title: "Parameters", load: () => import("./device/params") },
  settings: { title: "Settings", load: () => import("./device/settings") },
};

const STATES: Record<FeedState, string> = {
  connecting: "Connecting…",
  live: "Live",
  polling: "Looks for new points every few seconds",
  offline: "Offline: trying again",
};

export default function DevicePage({ parts: [id = "", tab = "live"] }: { parts: string[] }) {
  const { value: device, error, reload } = useLoad((signal) => get<Device>(`device/${id}`, {}, signal), []);
  const feed = useMemo(() => new Feed(id), []);
  const tabs = useRef<HTMLElement>(null);
  const isSending = useSignal(false);
  const isKnown = device !== undefined;
  useEffect(() => (isKnown ? feed.start() : undefined), [isKnown]);
  useEffect(() => tabs.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [isKnown, tab]);
  const entry = TABS[tab] ?? TABS["live"]!;
  if (!device) {
    return (
      <>
        <h1>Device</h1>
        <Problem error={error} retry={reload} />
        {error && <p><a href={to("devices")}>Go to the devices.</a></p>}
      </>
    );
  }
  const activity = activityOf(device, Date.now());
  return (
    <>
      <p class="crumb"><a href={to("devices")}>Devices</a></p>
      <div class="bar">
        <h1>{device.name}</h1>
        {activity === "off" && <span class="badge off" title={ACTIVITY_TEXT.off}>Deactivated</span>}
        {device.tags.map((tag, index) => <span class="badge" key={index}>{tagText(tag)}</span>)}
        <span class="push"><State feed={feed} /></span>
        {session.value?.permission !== "read" && <button type="button" onClick={() => (isSending.value = true)}>Send a test point</button>}
      </div>
      <Problem error={error} retry={reload} />
      <Problem error={feed.error.value} />
      <nav class="tabs" aria-label="Device" ref={tabs}>
        {Object.entries(TABS).map(([name, { title }]) => (
          <a key={name} href={to("device", id, name)} aria-current={entry === TABS[name] ? "page" : undefined}>{title}</a>
        ))}
      </nav>
      <Lazy key={tab} load={entry.load} with={{ device, feed, reload }} />
      {isSending.value && <SendPoint device={id} feed={feed} onClose={() => (isSending.value = false)} />}
    </>
  );
}

function State({ feed }: { feed: Feed }) {
  const text = useComputed(() => STATES[feed.state.value]);
  return <span class={`badge feed ${feed.state.value}`} role="status">{text}</span>;
}

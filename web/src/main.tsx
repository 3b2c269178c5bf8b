/** The shell: navigation around the view that the hash names. Each view is a chunk of its own. */
import { useSignal } from "@preact/signals";
import { type ComponentType, render } from "preact";
import { useEffect } from "preact/hooks";
import { Lazy } from "./lib/lazy";
import { place, to } from "./lib/router";
import { resume, session } from "./lib/session";
import "./styles.css";
import { Profiles } from "./profiles";
import { SignIn } from "./views/sign-in";

type View = ComponentType<{ parts: string[] }>;

/** The views, in the order of the navigation. */
const VIEWS: Record<string, { title: string; load: () => Promise<{ default: View }> }> = {
  devices: { title: "Devices", load: () => import("./views/devices") },
  connectors: { title: "Connectors", load: () => import("./views/connectors") },
  policies: { title: "Access", load: () => import("./views/policies") },
  usage: { title: "Usage", load: () => import("./views/usage") },
  audit: { title: "Audit log", load: () => import("./views/audit") },
  settings: { title: "Settings", load: () => import("./views/settings") },
};
/** Views that are reached from another one, below which the navigation shows them. */
const INNER: Record<string, (typeof VIEWS)[string] & { under: string }> = {
  device: { title: "Device", under: "devices", load: () => import("./views/device") },
  parser: { title: "Parser", under: "connectors", load: () => import("./views/parser") },
  transfer: { title: "Import and export", under: "devices", load: () => import("./views/transfer") },
};

function Shown() {
  const { view, parts } = place.value;
  const entry = VIEWS[view] ?? INNER[view];
  if (!entry) return <p>There is no such page. <a href={to("devices")}>Go to the devices.</a></p>;
  return <Lazy key={`${view}/${parts[0] ?? ""}`} load={entry.load} with={{ parts }} />;
}

function Shell() {
  const isOpen = useSignal(false);
  const { view } = place.value;
  useEffect(() => {
    isOpen.value = false;
    document.title = `${(VIEWS[view] ?? INNER[view])?.title ?? "Decant"} · Decant`;
  }, [view]);
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>
        Skip to the content
      </a>
      <header class="top">
        <button type="button" class="icon menu" aria-label="Menu" aria-expanded={isOpen.value} onClick={() => (isOpen.value = !isOpen.value)}>
          ☰
        </button>
        <a class="brand" href={to("devices")}>Decant</a>
        <Profiles />
      </header>
      <nav class={isOpen.value ? "open" : ""} aria-label="Main">
        {Object.entries(VIEWS).map(([name, { title }]) => (
          <a key={name} href={to(name)} aria-current={name === view || name === INNER[view]?.under ? "page" : undefined}>
            {title}
          </a>
        ))}
        <a href="docs">API</a>
      </nav>
      <main id="main" tabIndex={-1}>
        <Shown key={session.value?.token} />
      </main>
    </div>
  );
}

function App() {
  return session.value ? <Shell /> : <SignIn />;
}

await resume();
render(<App />, document.getElementById("app")!);

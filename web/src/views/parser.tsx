/** The parser of a connector, a network or a device: write it, try it out on a sample, and save it. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, post, put } from "../lib/api";
import { fromBase64, toBase64 } from "../lib/base64";
import { Editor } from "../lib/editor";
import { Field } from "../lib/form";
import { type Integration, isOfCatalogue } from "../lib/integration";
import { useLoad } from "../lib/load";
import { Problem } from "../lib/problem";
import { go, to } from "../lib/router";
import { session } from "../lib/session";

type Kind = "connector" | "network" | "device";
interface Result {
  points: Record<string, unknown>[];
  log: string[];
  serial: string | null;
  error: { message: string; line: number | null } | null;
}

const PATHS: Record<Kind, string> = { connector: "integration/connector", network: "integration/network", device: "device" };
const MAX_BYTES = 65_536;
const SAMPLE = '{"temperature": 21.5, "humidity": 48}';
const TYPES = [
  ["", "As it looks: JSON, else text"],
  ["application/json", "JSON"],
  ["text/plain", "Text"],
];
const START = `// \`payload\` is what was sent: a list for JSON, else a text. Make a list of points of it.
const sent = payload[0] ?? {};
payload = Object.entries(sent).map(([variable, value]) => ({ variable, value }));
`;
const COLUMNS = ["variable", "value", "unit", "time", "group", "location", "metadata"];

export default function Parser({ parts: [kind = "", id = ""] }: { parts: string[] }) {
  if (!(kind in PATHS)) return <p>There is no such parser. <a href={to("connectors")}>Go to the connectors.</a></p>;
  return <Loader key={`${kind}/${id}`} kind={kind as Kind} id={id} />;
}

function Loader({ kind, id }: { kind: Kind; id: string }) {
  const path = `${PATHS[kind]}/${encodeURIComponent(id)}`;
  const { value, error, reload } = useLoad((signal) => get<Integration>(path, {}, signal), []);
  if (!value) {
    return (
      <>
        <h1>Parser</h1>
        <Problem error={error} retry={reload} />
      </>
    );
  }
  return <Workbench kind={kind} path={path} owner={value} />;
}

function Workbench({ kind, path, owner }: { kind: Kind; path: string; owner: Integration }) {
  const stored = owner.payload_decoder ? fromBase64(owner.payload_decoder) : "";
  const source = useSignal(stored || START);
  const saved = useSignal(stored);
  const sample = useSignal(SAMPLE);
  const type = useSignal("");
  const result = useSignal<Result | undefined>(undefined);
  const error = useSignal<Error | undefined>(undefined);
  const busy = useSignal<"" | "run" | "save">("");
  const note = useSignal("");
  const isCatalogue = kind !== "device" && isOfCatalogue(owner.id);
  const mayWrite = session.value?.permission !== "read";
  const isChanged = source.value !== saved.value && !(saved.value === "" && source.value === START);
  const size = new TextEncoder().encode(source.value).length;

  useEffect(() => {
    const ask = (event: BeforeUnloadEvent) => {
      if (isChanged && !isCatalogue) event.preventDefault();
    };
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [isChanged]);

  const work = async (what: "run" | "save", task: () => Promise<void>) => {
    if (busy.value) return;
    busy.value = what;
    error.value = undefined;
    note.value = "";
    try {
      await task();
    } catch (failure) {
      error.value = failure as Error;
    }
    busy.value = "";
  };
  const run = () =>
    work("run", async () => {
      const body = { payload_decoder: toBase64(source.value), payload: sample.value, content_type: type.value, kind, ...(kind === "device" && { device: owner.id }) };
      result.value = undefined;
      result.value = await post<Result>("integration/parser/run", body);
    });
  const save = (text: string) =>
    work("save", async () => {
      await put(path, { payload_decoder: text === "" ? null : toBase64(text) });
      saved.value = text;
      if (text === "") source.value = START;
      note.value = text === "" ? "Removed" : kind === "device" ? "Saved" : "Saved. Its devices follow within a minute";
    });
  const copy = () =>
    work("save", async () => {
      const body = { name: `${owner.name} (copy)`, description: owner.description, payload_decoder: toBase64(source.value), ...(kind === "connector" && { networks: owner.networks }) };
      const made = await post<Record<string, string>>(`integration/${kind}`, body);
      saved.value = source.value;
      go("parser", kind, made[kind]!);
    });
  const keys = (event: KeyboardEvent) => {
    if (!(event.ctrlKey || event.metaKey)) return;
    if (event.key === "Enter") {
      event.preventDefault();
      void run();
    } else if (event.key === "s" && mayWrite && !isCatalogue) {
      event.preventDefault();
      void save(source.value);
    }
  };
  const back = kind === "device" ? to("device", owner.id) : to("connectors", `${kind}s`);
  return (
    <div onKeyDown={keys}>
      <p class="crumb"><a href={back}>{{ device: owner.name, network: "Networks", connector: "Connectors" }[kind]}</a></p>
      <div class="bar">
        <h1>Parser of {owner.name}</h1>
        {isCatalogue && <span class="badge">Catalogue</span>}
        {isChanged && !isCatalogue && <span class="badge">Not saved</span>}
        <span class="push good" role="status">{note.value}</span>
        {mayWrite && isCatalogue && <button type="button" class="primary" disabled={busy.value !== ""} onClick={copy}>Make a copy</button>}
        {mayWrite && !isCatalogue && saved.value !== "" && <button type="button" disabled={busy.value !== ""} onClick={() => save("")}>Remove</button>}
        {mayWrite && !isCatalogue && (
          <button type="button" class="primary" disabled={busy.value !== "" || size > MAX_BYTES} title="Ctrl + S" onClick={() => save(source.value)}>Save</button>
        )}
      </div>
      <Problem error={error.value} />
      {size > MAX_BYTES && <p class="problem" role="alert">The parser has {size.toLocaleString()} bytes. It may have {MAX_BYTES.toLocaleString()}.</p>}
      <div class="run-grid">
        <section aria-label="Source">
          <Editor label="Source" value={source.value} onInput={(text) => (source.value = text)} marked={result.value?.error?.line} />
          <p class="quiet">
            JavaScript. It gets <code>payload</code>, <code>raw_payload</code> and <code>device</code>, and can use <code>Buffer</code>, <code>dayjs</code> and <code>console</code>
            {kind === "network" && <>; it sets <code>serial</code></>}.
          </p>
        </section>
        <section aria-label="Try it out" class="sample">
          <Field label="Sample: the body that a device sends">
            {(id) => <textarea id={id} class="mono" spellcheck={false} value={sample.value} onInput={(event) => (sample.value = event.currentTarget.value)} />}
          </Field>
          <div class="bar">
            <select class="short" aria-label="Content type" value={type.value} onChange={(event) => (type.value = event.currentTarget.value)}>
              {TYPES.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
            </select>
            <button type="button" class="push primary" disabled={busy.value !== "" || !mayWrite} title="Ctrl + Enter" onClick={run}>Run</button>
          </div>
          <p class="quiet">Nothing is stored.{!mayWrite && " Running needs a token that may write."}</p>
          <div aria-live="polite">{result.value && <Outcome result={result.value} />}</div>
        </section>
      </div>
    </div>
  );
}

function Outcome({ result }: { result: Result }) {
  const { points, log, serial, error } = result;
  const columns = COLUMNS.filter((name) => points.some((point) => point[name] !== undefined));
  return (
    <>
      {error && (
        <div class="problem" role="alert">
          <p><strong>{error.line === null ? "Error" : `Error in line ${error.line}`}</strong></p>
          <p>{error.message}</p>
        </div>
      )}
      {serial !== null && <p>Serial number: <code>{serial}</code></p>}
      {!error && (
        <>
          <h2>{points.length === 1 ? "1 point" : `${points.length.toLocaleString()} points`}</h2>
          {points.length === 0 && <p class="quiet">The parser gave no point. It must leave a list of points in <code>payload</code>.</p>}
          {points.length > 0 && (
            <div class="scroll card" tabIndex={0} role="region" aria-label="Points">
              <table>
                <thead><tr>{columns.map((name) => <th key={name}>{name}</th>)}</tr></thead>
                <tbody>
                  {points.map((point, index) => (
                    <tr key={index}>{columns.map((name) => <td key={name}>{textOf(point[name])}</td>)}</tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </>
      )}
      {log.length > 0 && (
        <>
          <h2>Log</h2>
          <pre class="lines" tabIndex={0}>{log.join("\n")}</pre>
        </>
      )}
    </>
  );
}

const textOf = (value: unknown): string => (value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

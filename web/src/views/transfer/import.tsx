/** Imports a CSV file into a device: choose it, say what its columns are, look at what becomes of it, and import it. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { call } from "../../lib/api";
import { delimiterOf, type Row } from "../../lib/csv";
import { listTokens } from "../../lib/device";
import { download } from "../../lib/download";
import { digestOf, firstRows, type Progress, type Report, run, type Saved } from "../../lib/importer";
import { type Column, guess, type Mapping, pointsOf, problemOf, TARGETS, type Target } from "../../lib/mapping";
import { Problem } from "../../lib/problem";
import { isAmbiguous } from "../../lib/spreadsheet";
import { timeZone } from "../../lib/units";
import { sleep } from "../../lib/wait";
import "../../admin.css";

interface Device {
  id: string;
  name: string;
}
interface Chosen {
  file: File;
  header: string[];
  rows: Row[];
}

const PREVIEW_ROWS = 5;

/** Where an import of a device that is not finished is kept. */
const keyOf = (device: string) => `decant-import-${device}`;

function savedOf(device: string): Saved | null {
  const text = localStorage.getItem(keyOf(device));
  return text === null ? null : (JSON.parse(text) as Saved);
}

export function Import({ device }: { device: Device }) {
  const chosen = useSignal<Chosen | null>(null);
  const mapping = useSignal<Mapping | null>(null);
  const unfinished = useSignal(savedOf(device.id));
  const progress = useSignal<Progress | null>(null);
  const report = useSignal<Report | null>(null);
  const error = useSignal<Error | undefined>(undefined);
  const isBusy = useSignal(false);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => () => abort.current?.abort(), []);

  const choose = async (file: File | undefined) => {
    if (!file) return;
    error.value = undefined;
    report.value = progress.value = null;
    try {
      const start = await file.slice(0, 65_536).text();
      const delimiter = delimiterOf(start.split(/\r?\n/, 1)[0]!);
      const [header, ...rows] = await firstRows(file, delimiter, PREVIEW_ROWS + 1);
      if (!header) throw new Error("The file is empty.");
      const guessed = guess(header.cells, delimiter, rows.map(({ cells }) => cells));
      const saved = unfinished.peek();
      const isKnown = saved?.name === file.name && saved.mapping.delimiter === delimiter && saved.mapping.columns.length === guessed.columns.length;
      mapping.value = isKnown ? saved.mapping : guessed;
      chosen.value = { file, header: header.cells, rows };
    } catch (failure) {
      chosen.value = null;
      error.value = failure as Error;
    }
  };
  const start = async () => {
    const { file } = chosen.value!;
    const { signal } = (abort.current = new AbortController());
    isBusy.value = true;
    error.value = undefined;
    report.value = null;
    try {
      const digest = await digestOf(file, mapping.value!);
      const known = unfinished.peek();
      const fresh: Saved = { digest, name: file.name, mapping: mapping.value!, batches: 0, added: 0, part: 0, refused: [] };
      const send = await sender(device.id);
      const save = (saved: Saved) => {
        try {
          localStorage.setItem(keyOf(device.id), JSON.stringify(saved));
        } catch {
          // Many refused lines fill the storage. What it has resumes earlier, and batches that come again have their keys.
        }
      };
      report.value = await run({
        file, send, save, sleep, signal, saved: known?.digest === digest ? known : fresh, onProgress: (now) => (progress.value = now),
      });
      localStorage.removeItem(keyOf(device.id));
    } catch (failure) {
      if (!signal.aborted) error.value = failure as Error;
    }
    unfinished.value = savedOf(device.id);
    isBusy.value = false;
  };
  const forget = () => {
    localStorage.removeItem(keyOf(device.id));
    unfinished.value = null;
  };
  const problem = mapping.value ? problemOf(mapping.value) : "";
  return (
    <section aria-label="Import">
      {unfinished.value && !isBusy.value && !report.value && <Unfinished saved={unfinished.value} hasFile={chosen.value !== null} onForget={forget} />}
      <FileInput isDisabled={isBusy.value} onChoose={choose} />
      <Problem error={error.value} />
      {chosen.value && mapping.value && (
        <>
          <h2 class="section">Columns of {chosen.value.file.name}</h2>
          <Columns chosen={chosen.value} mapping={mapping.value} isDisabled={isBusy.value} onChange={(changed) => (mapping.value = changed)} />
          <h2 class="section">What becomes of the first lines</h2>
          {problem ? <p class="note">{problem}.</p> : <Preview rows={chosen.value.rows} mapping={mapping.value} />}
          <div class="buttons after">
            <button type="button" class="primary" disabled={isBusy.value || problem !== ""} onClick={start}>
              {unfinished.value && progress.value === null ? "Import or resume" : "Import"}
            </button>
            {isBusy.value && <button type="button" onClick={() => abort.current?.abort(new Error("stopped"))}>Stop</button>}
          </div>
        </>
      )}
      <div class="after" aria-live="polite">
        {progress.value && <Figures progress={progress.value} report={report.value} isBusy={isBusy.value} />}
        {report.value && report.value.errors.length > 0 && <Errors report={report.value} />}
      </div>
    </section>
  );
}

/** Return the function that sends a batch: with a token of the device, as a profile's may be refused. */
async function sender(device: string): Promise<(body: string, key: string) => Promise<number>> {
  const tokens = await listTokens(device);
  const token = tokens.find((one) => one.token !== null && one.permission !== "read")?.token;
  const path = token ? "data" : `device/${device}/data`;
  return async (body, key) => {
    const added = await call<string>("POST", path, { body, headers: { "Idempotency-Key": key }, ...(token && { token }) });
    return Number.parseInt(added, 10) || 0;
  };
}

function Unfinished({ saved, hasFile, onForget }: { saved: Saved; hasFile: boolean; onForget: () => void }) {
  return (
    <div class="note bar" role="status">
      <span>
        The import of <strong>{saved.name}</strong> is not finished: {Math.floor(saved.part * 100)} %, {saved.added.toLocaleString()} points.
        {!hasFile && " Choose the same file again to resume it."}
      </span>
      <button type="button" class="push small" onClick={onForget}>Forget it</button>
    </div>
  );
}

function FileInput({ isDisabled, onChoose }: { isDisabled: boolean; onChoose: (file: File | undefined) => void }) {
  const isOver = useSignal(false);
  return (
    <div
      class={isOver.value ? "drop over" : "drop"}
      onDragOver={(event) => { event.preventDefault(); isOver.value = true; }}
      onDragLeave={() => (isOver.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        isOver.value = false;
        if (!isDisabled) onChoose(event.dataTransfer?.files[0]);
      }}
    >
      <label>
        <strong>CSV file</strong>{" "}
        <input type="file" accept=".csv,.tsv,.txt,text/csv" disabled={isDisabled} onChange={(event) => onChoose(event.currentTarget.files?.[0])} />
      </label>
      <p class="quiet">Choose it or drop it here. Its first line names the columns, such as <code>variable,value,unit,time</code>, or <code>time,temperature,humidity</code>.</p>
    </div>
  );
}

function Columns(props: { chosen: Chosen; mapping: Mapping; isDisabled: boolean; onChange: (mapping: Mapping) => void }) {
  const { mapping, chosen, isDisabled } = props;
  const zone = timeZone();
  const change = (index: number, some: Partial<Column>) => {
    const columns = mapping.columns.map((column, at) => (at === index ? { ...column, ...some } : column));
    props.onChange({ ...mapping, columns });
  };
  const check = (name: "isLocal" | "hasDecimalComma" | "isDayFirst", text: string) => (
    <label class="check">
      <input type="checkbox" checked={mapping[name]} disabled={isDisabled} onChange={(event) => props.onChange({ ...mapping, [name]: event.currentTarget.checked })} />
      {text}
    </label>
  );
  return (
    <div class="scroll card">
      <table class="mapping stacked">
        <thead><tr><th>Column</th><th>First line</th><th>Becomes</th></tr></thead>
        <tbody>
          {mapping.columns.map(({ target, variable }, index) => (
            <tr key={index}>
              <td>{chosen.header[index] || <span class="quiet">without a name</span>}</td>
              <td class="mono"><div class="cell">{chosen.rows[0]?.cells[index] ?? ""}</div></td>
              <td>
                <div class="buttons">
                  <select
                    class="short" aria-label={`Column ${index + 1} becomes`} value={target} disabled={isDisabled}
                    onChange={(event) => change(index, { target: event.currentTarget.value as Target })}
                  >
                    {TARGETS.map(([name, text]) => <option key={name} value={name}>{text}</option>)}
                  </select>
                  {target === "own" && (
                    <input
                      class="short" aria-label={`Variable of column ${index + 1}`} value={variable} disabled={isDisabled} maxLength={100}
                      onInput={(event) => change(index, { variable: event.currentTarget.value })}
                    />
                  )}
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <div class="after">
        {zone !== "UTC" && check("isLocal", `Times without a time zone are those of ${zone}, not UTC`)}
        {mapping.delimiter !== "," && check("hasDecimalComma", "Numbers have a decimal comma: 21,5 is 21.5")}
        {chosen.rows.some(({ cells }) => cells.some(isAmbiguous)) && check("isDayFirst", "Dates begin with the day: 03/04/2026 is 3 April")}
      </div>
    </div>
  );
}

function Preview({ rows, mapping }: { rows: Row[]; mapping: Mapping }) {
  const read = rows.flatMap(({ line, cells }) => pointsOf(cells, mapping).map((found) => ({ line, ...found })));
  const hasTime = mapping.columns.some(({ target }) => target === "time");
  return (
    <>
      {!hasTime && <p class="note">No column is the time, so all points get the time at which they arrive.</p>}
      <div class="scroll card" tabIndex={0} role="region" aria-label="Preview">
        <table class="preview">
          <thead><tr><th class="number">Line</th><th>Variable</th><th>Value</th><th>Unit</th><th>Time (UTC)</th><th>Others</th></tr></thead>
          <tbody>
            {read.map(({ line, point, problem }, index) =>
              point ? (
                <tr key={index}>
                  <td class="number">{line}</td><td>{point.variable}</td><td>{valueText(point.value)}</td><td>{point.unit ?? ""}</td>
                  <td>{point.time ?? "on arrival"}</td><td class="mono">{others(point)}</td>
                </tr>
              ) : (
                <tr key={index} class="bad"><td class="number">{line}</td><td colSpan={5}>Left out: {problem}</td></tr>
              ),
            )}
            {read.length === 0 && <tr><td colSpan={6}>There is no line after the first one.</td></tr>}
          </tbody>
        </table>
      </div>
    </>
  );
}

function valueText(value: unknown): string {
  if (value === undefined) return "–";
  if (typeof value === "string") return `"${value}"`;
  return typeof value === "object" ? (value as { text: string }).text : String(value);
}

function others({ group, location, metadata }: { group?: string; location?: unknown; metadata?: unknown }): string {
  const shown = Object.entries({ group, location, metadata }).filter(([, value]) => value !== undefined);
  return shown.map(([name, value]) => `${name} ${JSON.stringify(value)}`).join("  ");
}

function Figures({ progress, report, isBusy }: { progress: Progress; report: Report | null; isBusy: boolean }) {
  return (
    <div class="card">
      <progress aria-label="Progress of the import" max={1} value={report ? 1 : progress.part} />
      <p class="figures">
        <span>{report ? 100 : Math.floor(progress.part * 100)} %</span>
        <span>{progress.added.toLocaleString()} points stored</span>
        <span>{progress.failed.toLocaleString()} left out</span>
        {report && <strong class="good">Done</strong>}
        {!report && !isBusy && <span>Stopped. Import again to resume.</span>}
        {progress.waitS > 0 && isBusy && <span>The server asks to wait: {progress.waitS} s</span>}
      </p>
    </div>
  );
}

function Errors({ report }: { report: Report }) {
  const save = () => download("errors.csv", new Blob(["line,error\r\n", ...report.errors], { type: "text/csv" }));
  return (
    <div class="problem">
      <p><strong>{report.failed.toLocaleString()} left out</strong>, the first of them:</p>
      <ul>
        {report.first.map(({ line, problem }, index) => <li key={index}>Line {line}: {problem}</li>)}
      </ul>
      <div class="buttons after"><button type="button" onClick={save}>Download all errors</button></div>
    </div>
  );
}

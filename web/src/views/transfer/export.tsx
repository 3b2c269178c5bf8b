/** Exports the points of a range of a device as CSV or NDJSON. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ApiError, get, request } from "../../lib/api";
import { sinkFor } from "../../lib/download";
import { begin, fileName, type Format, type Page, pagesOf, partOf, type Range, TYPES, write } from "../../lib/exporter";
import { Field } from "../../lib/form";
import { Problem } from "../../lib/problem";
import { sleep } from "../../lib/wait";
import "../../admin.css";

const DAY_MS = 86_400_000;
const SPANS: [label: string, days: number][] = [["Last day", 1], ["Last week", 7], ["Last month", 30], ["Last year", 365], ["All points", 0]];
const CUSTOM = -1;

interface State {
  part: number;
  points: number;
  waitS: number;
  isDone: boolean;
}

export function Export({ device }: { device: { id: string; name: string } }) {
  const days = useSignal(7);
  const state = useSignal<State | null>(null);
  const error = useSignal<Error | undefined>(undefined);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => () => abort.current?.abort(), []);
  const isBusy = state.value !== null && !state.value.isDone && !error.value;

  const start = async (event: Event) => {
    event.preventDefault();
    const values = new FormData(event.target as HTMLFormElement);
    const format = values.get("format") as Format;
    error.value = undefined;
    try {
      const range = rangeOf(days.value, values);
      const sink = await sinkFor(fileName(device.name, format, range.end), TYPES[format]);
      const { signal } = (abort.current = new AbortController());
      state.value = { part: 0, points: 0, waitS: 0, isDone: false };
      try {
        await exportTo(sink, device.id, range, format, state, signal);
      } catch (failure) {
        await sink.abort();
        throw failure;
      }
    } catch (failure) {
      if ((failure as Error).name === "AbortError") state.value = null;
      else error.value = failure as Error;
    }
  };
  return (
    <section class="card" aria-label="Export">
      <form onSubmit={start}>
        <div class="columns">
          <div>
            <Field label="Points">
              {(id) => (
                <select id={id} value={days.value} onChange={(event) => (days.value = Number(event.currentTarget.value))}>
                  {SPANS.map(([label, count]) => <option key={count} value={count}>{label}</option>)}
                  <option value={CUSTOM}>From … to …</option>
                </select>
              )}
            </Field>
            {days.value === CUSTOM && (
              <>
                <Field label="From">{(id) => <input id={id} name="from" type="datetime-local" step="1" />}</Field>
                <Field label="To">{(id) => <input id={id} name="to" type="datetime-local" step="1" />}</Field>
              </>
            )}
          </div>
          <div>
            <Field label="Variables" hint="Names with commas between them. Empty: all.">{(id) => <input id={id} name="variables" autocomplete="off" />}</Field>
            <Field label="Format">
              {(id) => (
                <select id={id} name="format">
                  <option value="csv">CSV, for spreadsheets</option>
                  <option value="ndjson">NDJSON, for programs</option>
                </select>
              )}
            </Field>
          </div>
        </div>
        <div class="buttons">
          <button type="submit" class="primary" disabled={isBusy}>Export</button>
          {isBusy && <button type="button" onClick={() => abort.current?.abort()}>Stop</button>}
        </div>
      </form>
      <div class="after" aria-live="polite">
        <Problem error={error.value} />
        {state.value && <Shown state={state.value} hasFailed={error.value !== undefined} />}
      </div>
    </section>
  );
}

function Shown({ state, hasFailed }: { state: State; hasFailed: boolean }) {
  return (
    <>
      <progress aria-label="Progress of the export" max={1} value={state.isDone ? 1 : state.part} />
      <p class="figures">
        <span>{state.points.toLocaleString()} points</span>
        {state.isDone && <strong class="good">Done</strong>}
        {hasFailed && <span>The file was not written.</span>}
        {state.waitS > 0 && <span>The limit of requests is reached: waiting {state.waitS} s</span>}
      </p>
      {state.isDone && state.points === 0 && <p class="quiet">There is no point in this range. Choose a longer one.</p>}
    </>
  );
}

function rangeOf(days: number, values: FormData): Range {
  const text = (name: string) => String(values.get(name) ?? "");
  const variables = text("variables").split(",").map((name) => name.trim()).filter(Boolean);
  const now = Date.now();
  if (days !== CUSTOM) return { start: days ? new Date(now - days * DAY_MS).toISOString() : undefined, end: new Date(now).toISOString(), variables };
  const [start, end] = [text("from"), text("to")].map((local) => (local ? new Date(local).toISOString() : undefined));
  if (start && end && end < start) throw new Error("The range ends before it begins.");
  return { start, end: end ?? new Date(now).toISOString(), variables };
}

async function exportTo(
  sink: Awaited<ReturnType<typeof sinkFor>>, device: string, range: Range, format: Format,
  state: { value: State | null; peek: () => State | null }, signal: AbortSignal,
): Promise<void> {
  const total = range.start === undefined ? await get<number>(`device/${device}/data_amount`, {}, signal) : 0;
  const change = (some: Partial<State>) => (state.value = { ...state.peek()!, ...some });
  const read = async (page: Page) => {
    for (;;) {
      try {
        const response = await request("GET", `device/${device}/data`, { query: { ...page }, signal });
        return await response.text();
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 429) throw error;
        change({ waitS: error.retryAfterS || 1 });
        await sleep(error.retryAfterS || 1, signal);
        change({ waitS: 0 });
      }
    }
  };
  await sink.write(begin(format));
  let points = 0;
  for await (const page of pagesOf(range, read)) {
    await sink.write(write(page, format));
    points += page.length;
    change({ points, part: partOf(range, page.at(-1)!) ?? Math.min(1, points / Math.max(total, 1)) });
  }
  await sink.close();
  change({ isDone: true });
}

/** A plot of a device's variables that grows as points arrive. */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { TabProps } from "../device";
import { get } from "../../lib/api";
import { READ_QTY } from "../../lib/feed";
import { useLoad } from "../../lib/load";
import { type Columns, columnsOf, intervalOf, isSample, type Range, type Sample, SPANS, valueAt, zoomed } from "../../lib/plot";
import { type Line, Plot } from "../../lib/plot-view";
import { latest, merged, type Point } from "../../lib/points";
import { Problem } from "../../lib/problem";
import { to } from "../../lib/router";
import { ago, timeText, timeZone, valueText } from "../../lib/units";

/** There are as many colours. */
const MAX_LINES = 8;
const FIRST_LINES = 4;
/** After so many points beside what was loaded, all is loaded again, aggregated. */
const MAX_ARRIVED = 5_000;
const TICK_MS = 5_000;
const FUNCTIONS = { avg: "Average", min: "Minimum", max: "Maximum" };

/** A range that ends now, by its name, or a fixed one. */
type Shown = string | Range;

export default function Live({ device, feed }: TabProps) {
  const path = `device/${device.id}/data`;
  const newest = useLoad((signal) => get<Point[]>(path, { query: "last_item" }, signal), []);
  const arrived = useSignal<Point[]>([]);
  const hidden = useSignal<Set<string>>(new Set());
  const added = useSignal<Set<string>>(new Set());
  const shown = useSignal<Shown>("15 min");
  const fold = useSignal<keyof typeof FUNCTIONS>("avg");
  const nowMs = useNow();
  const cursor = useSignal<number | undefined>(undefined);

  useEffect(() => feed.hear((points) => (arrived.value = merged(arrived.value, points))), []);

  const values = latest([...(newest.value ?? []), ...arrived.value]);
  const numeric = values.filter(isSample).map(({ variable }) => variable);
  const first = numeric.slice(0, FIRST_LINES);
  const chosen = numeric.filter((name) => (first.includes(name) ? !hidden.value.has(name) : added.value.has(name))).slice(0, MAX_LINES);
  const toggle = (name: string) => {
    const set = first.includes(name) ? hidden : added;
    const changed = new Set(set.value);
    if (!changed.delete(name)) changed.add(name);
    set.value = changed;
  };

  const range = rangeOf(shown.value, nowMs);
  const interval = intervalOf(range);
  const key = JSON.stringify([shown.value, chosen, fold.value]);
  const history = useLoad(async (signal): Promise<Sample[]> => {
    if (chosen.length === 0) return [];
    const wanted = rangeOf(shown.value, Date.now());
    const bounds = { start_date: iso(wanted.fromMs), end_date: iso(wanted.toMs), variables: chosen };
    const query = interval ? { query: "aggregate", interval, function: fold.value, timezone: timeZone() } : { qty: READ_QTY };
    return (await get<(Sample | Point)[]>(path, { ...bounds, ...query }, signal)).filter(isSample);
  }, [key, feed.gaps.value]);
  const isFull = !interval && (history.value?.length ?? 0) >= READ_QTY - chosen.length;

  useEffect(() => {
    if (arrived.value.length <= MAX_ARRIVED) return;
    arrived.value = latest(arrived.value);
    history.reload();
  }, [arrived.value.length]);

  const columns = useMemo(
    (): Columns => columnsOf([...(history.value ?? []), ...arrived.value.filter(isSample).reverse()], chosen),
    [history.value, arrived.value, key],
  );
  const unitOf = new Map(values.map(({ variable, unit }) => [variable, unit]));
  const lines = chosen.map((variable): Line => ({ variable, unit: unitOf.get(variable), colour: `--plot-${(numeric.indexOf(variable) % MAX_LINES) + 1}` }));
  const isEmpty = !columns[0].some((timeS) => timeS * 1_000 >= range.fromMs && timeS * 1_000 <= range.toMs);
  const last = values.filter(isSample).reduce((time, point) => (point.time > time ? point.time : time), "");

  if (newest.value?.length === 0 && arrived.value.length === 0) return <NoPoints device={device.id} />;
  return (
    <>
      <Problem error={newest.error} retry={newest.reload} />
      <div class="bar">
        <div class="segments" role="group" aria-label="Range">
          {Object.keys(SPANS).map((name) => (
            <button type="button" key={name} aria-pressed={shown.value === name} onClick={() => (shown.value = name)}>{name}</button>
          ))}
        </div>
        <div class="segments" role="group" aria-label="Zoom">
          <button type="button" aria-label="Zoom in" onClick={() => (shown.value = zoomed(range, 0.5, nowMs))}>+</button>
          <button type="button" aria-label="Zoom out" onClick={() => (shown.value = zoomed(range, 2, nowMs))}>−</button>
          <button type="button" aria-label="Earlier" onClick={() => (shown.value = shifted(range, -0.5))}>←</button>
          <button type="button" aria-label="Later" disabled={range.toMs >= nowMs} onClick={() => (shown.value = shifted(range, 0.5))}>→</button>
        </div>
        {interval && (
          <select class="short" aria-label="Value of each interval" value={fold.value} onChange={(event) => (fold.value = event.currentTarget.value as keyof typeof FUNCTIONS)}>
            {Object.entries(FUNCTIONS).map(([name, title]) => <option key={name} value={name}>{title}</option>)}
          </select>
        )}
      </div>
      <Problem error={history.error} retry={history.reload} />
      <div class="card plot-card" data-interval={interval} data-from={range.fromMs} data-to={range.toMs} data-loading={history.isLoading}>
        <Plot
          label={`Plot of ${chosen.join(", ") || "nothing"} from ${new Date(range.fromMs).toLocaleString()} to ${new Date(range.toMs).toLocaleString()}`}
          lines={lines} columns={columns} range={range}
          onZoom={(wanted) => (shown.value = wanted)} onCursor={(index) => (cursor.value = index)}
        />
        {isEmpty && !history.isLoading && chosen.length > 0 && (
          <p class="over">
            No point in this range.{" "}
            {last && <button type="button" onClick={() => (shown.value = around(last))}>Show the newest, {ago(last, nowMs)}</button>}
          </p>
        )}
        <p class="quiet foot">
          {interval ? `${FUNCTIONS[fold.value]} of each ${interval}` : "Each point"} · {timeZone()}
          {isFull && ` · only the newest ${READ_QTY.toLocaleString()} points: zoom in to see all`}
          <span class="with-pointer"> · drag over the plot to zoom</span>
        </p>
      </div>
      <ul class="values" aria-label="Variables">
        {values.map((point) => {
          const index = chosen.indexOf(point.variable);
          const line = lines[index];
          const atCursor = cursor.value !== undefined && line ? valueAt(columns[index + 1] as number[], cursor.value) : undefined;
          return (
            <li key={point.variable}>
              <button
                type="button" class={`value ${line ? line.colour.slice(2) : ""}`} aria-pressed={line !== undefined}
                disabled={!isSample(point) || (!line && chosen.length >= MAX_LINES)}
                title={isSample(point) ? "Show or hide its line" : "Only numbers are drawn"} onClick={() => toggle(point.variable)}
              >
                <span class="name">{point.variable}</span>
                <span class="reading">{valueText(atCursor ?? point.value)} <small>{point.unit}</small></span>
                <time class="quiet" dateTime={point.time} title={timeText(point.time)}>{ago(point.time, nowMs)}</time>
              </button>
            </li>
          );
        })}
      </ul>
    </>
  );
}

function NoPoints({ device }: { device: string }) {
  return (
    <div class="empty">
      <p>No point has arrived yet. This page draws the first one as it comes.</p>
      <p>
        <a class="button primary" href={to("device", device, "connect")}>See how to send one</a>
      </p>
      <p>Or press “Send a test point” above.</p>
    </div>
  );
}

/** Return the time, which moves on every five seconds, so that a range that ends now moves too. */
function useNow(): number {
  const nowMs = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => (nowMs.value = Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return Math.max(nowMs.value, Date.now() - 1_000);
}

function rangeOf(shown: Shown, nowMs: number): Range {
  return typeof shown === "string" ? { fromMs: nowMs - SPANS[shown]!, toMs: nowMs } : shown;
}

function shifted({ fromMs, toMs }: Range, share: number): Range {
  const byMs = Math.round((toMs - fromMs) * share);
  return { fromMs: fromMs + byMs, toMs: toMs + byMs };
}

/** Return the quarter of an hour around a time. */
function around(time: string): Range {
  const half = SPANS["15 min"]! / 2;
  return { fromMs: Date.parse(time) - half, toMs: Date.parse(time) + half };
}

const iso = (ms: number): string => new Date(ms).toISOString();

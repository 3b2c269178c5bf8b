/** The points of a device, the newest first. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { TabProps } from "../device";
import { get, put, request } from "../../lib/api";
import { Dialog } from "../../lib/dialog";
import { Field, Form, Input } from "../../lib/form";
import { useLoad } from "../../lib/load";
import { merged, type Point } from "../../lib/points";
import { Problem } from "../../lib/problem";
import { to } from "../../lib/router";
import { placeOf } from "../../lib/send-point";
import { session } from "../../lib/session";
import { timeText, toLocalInput, typedValue, valueText } from "../../lib/units";

const PAGE = 100;

export default function Points({ device, feed }: TabProps) {
  const path = `device/${device.id}/data`;
  const variable = useSignal("");
  const points = useSignal<Point[]>([]);
  const hasMore = useSignal(false);
  const isLoadingMore = useSignal(false);
  const moreError = useSignal<Error | undefined>(undefined);
  const edited = useSignal<Point | null>(null);
  const deleted = useSignal<Point | null>(null);
  const isWanted = (point: Point) => !variable.value || point.variable === variable.value;

  const read = async (skip: number, signal?: AbortSignal) => {
    const more = await get<Point[]>(path, { qty: PAGE, skip, variables: variable.value || undefined }, signal);
    points.value = merged(skip ? points.value : [], more);
    hasMore.value = more.length === PAGE;
  };
  const { error, isLoading, reload } = useLoad((signal) => read(0, signal), [variable.value, feed.gaps.value]);
  const variables = useLoad((signal) => get<Point[]>(path, { query: "last_item" }, signal), []);
  useEffect(() => feed.hear((more) => (points.value = merged(points.value, more.filter(isWanted)))), []);

  const readMore = async () => {
    isLoadingMore.value = true;
    moreError.value = undefined;
    await read(points.value.length).catch((failure: Error) => (moreError.value = failure));
    isLoadingMore.value = false;
  };
  const isMutable = device.type === "mutable";
  const mayEdit = isMutable && session.value?.permission !== "read";
  const replace = (id: string, by: Point[]) => (points.value = merged(points.value.filter((point) => point.id !== id), by));

  return (
    <>
      <div class="bar">
        <select class="short" aria-label="Variable" value={variable.value} onChange={(event) => (variable.value = event.currentTarget.value)}>
          <option value="">All variables</option>
          {variables.value?.map((point) => <option key={point.variable}>{point.variable}</option>)}
        </select>
        <a class="button push" href={to("transfer", device.id)}>Import or export</a>
        <button type="button" aria-label="Refresh" title="Refresh" onClick={reload} disabled={isLoading}>⟳</button>
      </div>
      {!isMutable && <p class="note">This device is immutable: its points cannot be edited or deleted. They go when they are older than it keeps them ({device.data_retention}).</p>}
      <Problem error={error ?? variables.error} retry={reload} />
      {!isLoading && !error && points.value.length === 0 && <p class="empty">There is no point yet. Send one, as Connect shows, or import a file.</p>}
      {points.value.length > 0 && (
        <div class="scroll card">
          <table class="points stacked">
            <thead><tr><th>Time</th><th>Variable</th><th class="number">Value</th><th>More</th>{mayEdit && <th><span class="sr">Actions</span></th>}</tr></thead>
            <tbody>
              {points.value.map((point) => (
                <tr key={point.id}>
                  <td><time dateTime={point.time}>{timeText(point.time)}</time></td>
                  <td class="mono">{point.variable}</td>
                  <td class="number">{valueText(point.value)} {point.unit}</td>
                  <td class="quiet">{moreOf(point)}</td>
                  {mayEdit && (
                    <td class="actions">
                      <button type="button" class="small" aria-label={`Edit ${point.variable}`} onClick={() => (edited.value = point)}>Edit</button>
                      <button type="button" class="small" aria-label={`Delete ${point.variable}`} onClick={() => (deleted.value = point)}>Delete</button>
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Problem error={moreError.value} />
      {hasMore.value && <p><button type="button" disabled={isLoadingMore.value} onClick={readMore}>Show {PAGE} older</button></p>}
      {edited.value && <Edit path={path} point={edited.value} onClose={() => (edited.value = null)} onSaved={(point) => { replace(point.id, [point]); edited.value = null; }} />}
      {deleted.value && (
        <Dialog title="Delete a point" onClose={() => (deleted.value = null)}>
          <p>Delete <strong>{deleted.value.variable}</strong>, {valueText(deleted.value.value)} {deleted.value.unit}, of {timeText(deleted.value.time)}?</p>
          <Form
            send="Delete" isDanger
            onSend={async () => {
              const { id } = deleted.value!;
              await request("DELETE", path, { query: { ids: id } });
              replace(id, []);
              deleted.value = null;
            }}
          />
        </Dialog>
      )}
    </>
  );
}

function moreOf({ location, metadata }: Point): string {
  const place = location && `${location.coordinates[1]}, ${location.coordinates[0]}`;
  return [place, metadata && JSON.stringify(metadata)].filter(Boolean).join(" · ");
}

function Edit({ path, point, onClose, onSaved }: { path: string; point: Point; onClose: () => void; onSaved: (point: Point) => void }) {
  const value = point.value === undefined ? "" : String(point.value);
  const place = point.location ? `${point.location.coordinates[1]}, ${point.location.coordinates[0]}` : "";
  const metadata = point.metadata ? JSON.stringify(point.metadata, null, 2) : "";
  const time = toLocalInput(point.time);
  const save = async (typed: Record<string, string>) => {
    const changes: Record<string, unknown> = { id: point.id }; // only what was changed: a text "21" stays a text
    if (typed["value"] !== value) changes["value"] = typedValue(typed["value"] ?? "");
    if (typed["unit"] !== (point.unit ?? "")) changes["unit"] = typed["unit"];
    if (typed["time"] !== time) changes["time"] = new Date(typed["time"] ?? "").toISOString();
    if (typed["place"] !== place) changes["location"] = placeOf(typed["place"] ?? "") ?? null;
    if (typed["metadata"] !== metadata) changes["metadata"] = parsed(typed["metadata"] ?? "");
    await put(path, [changes]);
    const [saved] = await get<Point[]>(path, { ids: point.id });
    onSaved(saved ?? point);
  };
  return (
    <Dialog title={`Edit ${point.variable}`} onClose={onClose}>
      <Form send="Save" onSend={save}>
        <Input label="Value" name="value" defaultValue={value} required={value !== ""} autocomplete="off" />
        <Input label="Unit" name="unit" defaultValue={point.unit} maxLength={25} autocomplete="off" />
        <Input label="Time" name="time" type="datetime-local" step="0.001" defaultValue={time} required />
        <Input label="Location" name="place" defaultValue={place} placeholder="latitude, longitude" autocomplete="off" />
        <Field label="Metadata" hint="A JSON object.">{(id) => <textarea id={id} name="metadata" class="mono" defaultValue={metadata} />}</Field>
      </Form>
    </Dialog>
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text || "{}");
  } catch {
    throw new Error("Metadata is no JSON.");
  }
}

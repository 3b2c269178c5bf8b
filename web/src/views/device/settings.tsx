/** What a device is called and how it stores, and its end. */
import { useSignal } from "@preact/signals";
import type { TabProps } from "../device";
import { get, post, put } from "../../lib/api";
import { DeleteDevice } from "../../lib/delete-device";
import { deviceOf, DeviceFields } from "../../lib/device-form";
import { Dialog } from "../../lib/dialog";
import { Field, Form, Input } from "../../lib/form";
import { useLoad } from "../../lib/load";
import { Problem } from "../../lib/problem";
import { go } from "../../lib/router";
import { timeText } from "../../lib/units";

export default function Settings({ device, reload }: TabProps) {
  const amount = useLoad((signal) => get<number>(`device/${device.id}/data_amount`, {}, signal), []);
  const saved = useSignal("");
  const asks = useSignal<"" | "empty" | "delete">("");
  const close = () => (asks.value = "");
  const isImmutable = device.type === "immutable";
  const save = async (values: Record<string, string>) => {
    saved.value = "";
    const retention = isImmutable && { chunk_retention: Number(values["retention"]) };
    const description = values["description"] || null;
    await put(`device/${device.id}`, { ...deviceOf(values), description, active: values["active"] === "on", ...retention });
    saved.value = "Saved";
    reload();
  };
  return (
    <div class="columns">
      <section class="card">
        <h2>Device</h2>
        <Form send="Save" onSend={save}>
          <DeviceFields device={device} />
          <Field label="Description">{(id) => <textarea id={id} name="description" rows={2} defaultValue={device.description ?? ""} />}</Field>
          {isImmutable && <Input label={`Periods to keep (${device.chunk_period})`} name="retention" type="number" min={0} max={36} required defaultValue={device.chunk_retention ?? 0} />}
          <label class="check"><input type="checkbox" name="active" defaultChecked={device.active} /> Active: it may send and read</label>
          <p role="status" class="good">{saved.value}</p>
        </Form>
      </section>
      <section class="card">
        <h2>About it</h2>
        <Problem error={amount.error} retry={amount.reload} />
        <dl>
          <dt>Id</dt><dd class="mono">{device.id}</dd>
          <dt>Storage</dt><dd>{isImmutable ? "Immutable: points cannot be edited or deleted" : "Mutable: points can be edited and deleted"}</dd>
          <dt>Points</dt><dd>{amount.value?.toLocaleString() ?? "…"}{!isImmutable && " of at most 50,000"}</dd>
          <dt>Keeps points</dt><dd>{device.data_retention}</dd>
          <dt>Created</dt><dd>{timeText(device.created_at)}</dd>
          <dt>Last point</dt><dd>{device.last_input ? timeText(device.last_input) : "never"}</dd>
        </dl>
        <h2>Cannot be undone</h2>
        <p class="buttons">
          {!isImmutable && <button type="button" onClick={() => (asks.value = "empty")}>Delete all points</button>}
          <button type="button" class="danger" onClick={() => (asks.value = "delete")}>Delete the device</button>
        </p>
      </section>
      {asks.value === "delete" && <DeleteDevice device={device} onClose={close} onDeleted={() => go("devices")} />}
      {asks.value === "empty" && (
        <Dialog title="Delete all points" onClose={close}>
          <p>This deletes all points of <strong>{device.name}</strong>. Its tokens and parameters stay.</p>
          <Form send="Delete all points" isDanger onSend={async () => { await post(`device/${device.id}/empty`); close(); amount.reload(); }} />
        </Dialog>
      )}
    </div>
  );
}

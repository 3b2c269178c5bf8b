/** Configuration parameters, which the device and its parsers read. */
import { useSignal } from "@preact/signals";
import type { TabProps } from "../device";
import { get, post, remove } from "../../lib/api";
import type { Param } from "../../lib/device";
import { Dialog } from "../../lib/dialog";
import { Form, Input } from "../../lib/form";
import { useLoad } from "../../lib/load";
import { Problem } from "../../lib/problem";

export default function Params({ device }: TabProps) {
  const path = `device/${device.id}/params`;
  const { value: params, error, reload } = useLoad((signal) => get<Param[]>(path, {}, signal), []);
  const edited = useSignal<Partial<Param> | null>(null);
  const deleted = useSignal<Param | null>(null);
  const save = async (values: Record<string, string>) => {
    const { id } = edited.value!;
    await post(path, { ...(id && { id }), key: values["key"], value: values["value"], sent: values["sent"] === "on" });
    edited.value = null;
    reload();
  };
  return (
    <>
      <div class="bar">
        <span class="quiet">The device reads them with its token at <code>GET /device/params</code>.</span>
        <button type="button" class="push primary" onClick={() => (edited.value = {})}>New parameter</button>
      </div>
      <Problem error={error} retry={reload} />
      {params?.length === 0 && <p class="empty">There is none. A parameter tells the device or its parser something, such as how often to send.</p>}
      {params && params.length > 0 && (
        <div class="scroll card">
          <table class="stacked">
            <thead><tr><th>Key</th><th>Value</th><th>Read by the device</th><th><span class="sr">Actions</span></th></tr></thead>
            <tbody>
              {params.map((param) => (
                <tr key={param.id}>
                  <td class="mono">{param.key}</td>
                  <td>{param.value}</td>
                  <td>{param.sent ? "yes" : "not yet"}</td>
                  <td class="actions">
                    <button type="button" class="small" aria-label={`Edit ${param.key}`} onClick={() => (edited.value = param)}>Edit</button>
                    <button type="button" class="small" aria-label={`Delete ${param.key}`} onClick={() => (deleted.value = param)}>Delete</button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {edited.value && (
        <Dialog title={edited.value.id ? "Edit a parameter" : "New parameter"} onClose={() => (edited.value = null)}>
          <Form send="Save" onSend={save}>
            <Input label="Key" name="key" required defaultValue={edited.value.key} autocomplete="off" />
            <Input label="Value" name="value" defaultValue={edited.value.value} autocomplete="off" />
            <label class="check"><input type="checkbox" name="sent" defaultChecked={edited.value.sent} /> The device has read it</label>
          </Form>
        </Dialog>
      )}
      {deleted.value && (
        <Dialog title="Delete a parameter" onClose={() => (deleted.value = null)}>
          <p>Delete <strong>{deleted.value.key}</strong>?</p>
          <Form send="Delete" isDanger onSend={async () => { await remove(`${path}/${deleted.value!.id}`); deleted.value = null; reload(); }} />
        </Dialog>
      )}
    </>
  );
}

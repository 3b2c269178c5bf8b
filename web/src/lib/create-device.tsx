/** Creates a device, then shows its token and what to do with it. */
import { useSignal } from "@preact/signals";
import { post } from "./api";
import { Copy } from "./copy";
import { deviceOf, DeviceFields } from "./device-form";
import { Dialog } from "./dialog";
import { Field, Form, Input } from "./form";
import { to } from "./router";
import { Snippets } from "./snippets-view";

interface Created {
  device_id: string;
  token: string;
}

/** `onCreated` hears of the device at once, `onClose` when the person has seen the token. */
export function CreateDevice(props: { onCreated: () => void; onClose: () => void }) {
  const created = useSignal<(Created & { name: string }) | null>(null);
  const type = useSignal("mutable");
  const send = async (values: Record<string, string>) => {
    const device = deviceOf(values);
    const chunks = type.value === "immutable" && { chunk_period: values["period"], chunk_retention: Number(values["retention"]) };
    created.value = { ...(await post<Created>("device", { ...device, type: type.value, ...chunks })), name: device.name };
    props.onCreated();
  };
  if (created.value) return <NextStep {...created.value} onClose={props.onClose} />;
  return (
    <Dialog title="New device" onClose={props.onClose}>
      <Form send="Create" onSend={send}>
        <DeviceFields />
        <Field label="Storage" hint={type.value === "mutable" ? "Points can be edited and deleted. At most 50,000." : "Points cannot be changed. They go when they are old."}>
          {(id) => (
            <select id={id} value={type.value} onChange={(event) => (type.value = event.currentTarget.value)}>
              <option value="mutable">Mutable</option>
              <option value="immutable">Immutable</option>
            </select>
          )}
        </Field>
        {type.value === "immutable" && (
          <div class="grid">
            <Field label="Period">
              {(id) => (
                <select id={id} name="period" defaultValue="month">
                  {["day", "week", "month", "quarter"].map((period) => <option key={period}>{period}</option>)}
                </select>
              )}
            </Field>
            <Input label="Periods to keep" name="retention" type="number" min={0} max={36} required defaultValue={12} />
          </div>
        )}
      </Form>
    </Dialog>
  );
}

function NextStep(props: Created & { name: string; onClose: () => void }) {
  return (
    <Dialog title={`${props.name} is ready`} onClose={props.onClose} isWide>
      <p>The device signs in with this token. Keep it secret: who has it can send and read as the device.</p>
      <p class="bar">
        <code class="token">{props.token}</code> <Copy text={props.token} what="the token" />
      </p>
      <h3>Next: send a first point</h3>
      <Snippets token={props.token} />
      <p class="buttons after">
        <a class="button primary" href={to("device", props.device_id, "live")}>Watch it arrive</a>
      </p>
    </Dialog>
  );
}

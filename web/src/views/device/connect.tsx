/** How a device signs in: its tokens, and programs with one of them. */
import { useSignal } from "@preact/signals";
import type { TabProps } from "../device";
import { remove } from "../../lib/api";
import { Copy } from "../../lib/copy";
import { createToken, listTokens, type Token } from "../../lib/device";
import { Dialog } from "../../lib/dialog";
import { Field, Form, Input } from "../../lib/form";
import { useLoad } from "../../lib/load";
import { Problem } from "../../lib/problem";
import { QrCode } from "../../lib/qr";
import { Snippets } from "../../lib/snippets-view";
import { timeText } from "../../lib/units";

const MAY: Record<string, string> = { full: "send and read", write: "send", read: "read" };

export default function Connect({ device }: TabProps) {
  const { value: tokens, error, reload } = useLoad((signal) => listTokens(device.id, signal), []);
  const isCreating = useSignal(false);
  const shown = useSignal<Token | null>(null);
  const deleted = useSignal<Token | null>(null);
  const sender = tokens?.find(({ token, permission }) => token && permission !== "read");
  const create = async ({ name = "", permission = "" }: Record<string, string>) => {
    await createToken(device.id, name, permission);
    isCreating.value = false;
    reload();
  };
  return (
    <>
      <section class="card">
        <h2>Send from a program</h2>
        {sender?.token && <p class="quiet">With the token “{sender.name}”.</p>}
        {sender?.token && <Snippets token={sender.token} />}
        {tokens && !sender && <p class="empty">There is no token that may send and that you may see. Make one below.</p>}
      </section>
      <section class="card">
        <div class="bar">
          <h2>Tokens</h2>
          <button type="button" class="push" onClick={() => (isCreating.value = true)}>New token</button>
        </div>
        <Problem error={error} retry={reload} />
        {tokens?.length === 0 && <p class="empty">The device has no token, so it cannot sign in. Make one.</p>}
        {tokens && tokens.length > 0 && (
          <div class="scroll">
            <table class="tokens stacked">
              <thead><tr><th>Name</th><th>Token</th><th>May</th><th>Ends</th><th><span class="sr">Actions</span></th></tr></thead>
              <tbody>
                {tokens.map((token, index) => (
                  <tr key={token.token ?? index}>
                    <td>{token.name}</td>
                    <td class="mono token">{token.token ?? "hidden: another person made it, or your token has less permission"}</td>
                    <td>{MAY[token.permission] ?? token.permission}</td>
                    <td>{!token.expire_time || token.expire_time === "never" ? "never" : timeText(token.expire_time)}</td>
                    <td class="actions">
                      {token.token && <Copy text={token.token} what={`the token ${token.name}`} />}
                      {token.token && <button type="button" class="small" aria-label={`QR code of ${token.name}`} onClick={() => (shown.value = token)}>QR code</button>}
                      {token.token && <button type="button" class="small" aria-label={`Delete ${token.name}`} onClick={() => (deleted.value = token)}>Delete</button>}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      {isCreating.value && (
        <Dialog title="New token" onClose={() => (isCreating.value = false)}>
          <Form send="Create" onSend={create}>
            <Input label="Name" name="name" required maxLength={100} autocomplete="off" />
            <Field label="The device may">
              {(id) => (
                <select id={id} name="permission">
                  {Object.entries(MAY).map(([permission, text]) => <option key={permission} value={permission}>{text}</option>)}
                </select>
              )}
            </Field>
          </Form>
        </Dialog>
      )}
      {shown.value?.token && (
        <Dialog title={`Token ${shown.value.name}`} onClose={() => (shown.value = null)}>
          <p class="quiet">Scan it with a phone to bring the token to the device. Who sees it can use it.</p>
          <QrCode text={shown.value.token} label={`QR code of the token ${shown.value.name}`} />
        </Dialog>
      )}
      {deleted.value && (
        <Dialog title="Delete a token" onClose={() => (deleted.value = null)}>
          <p>What signs in with <strong>{deleted.value.name}</strong> is refused from now on, on AWS within a minute.</p>
          <Form send="Delete" isDanger onSend={async () => { await remove(`device/token/${deleted.value!.token}`); deleted.value = null; reload(); }} />
        </Dialog>
      )}
    </>
  );
}

/** Service authorizations: tokens with which the network of another profile acts for this one. */
import { useSignal } from "@preact/signals";
import { get, post, remove } from "../../lib/api";
import { Confirm } from "../../lib/confirm";
import { Dialog } from "../../lib/dialog";
import { Form, Input } from "../../lib/form";
import { useLoad } from "../../lib/load";
import { Problem } from "../../lib/problem";
import { session } from "../../lib/session";
import { ago } from "../../lib/units";
import { expiry, Expires, type ListedToken, Made, Permission } from "./tokens";

const FIELDS = ["name", "token", "permission", "expire_time", "last_authorization", "created_at"];

export function ServiceAuthorizations() {
  const { value: services, error, reload } = useLoad((signal) => get<ListedToken[]>("serviceauth", { amount: 1_000, fields: FIELDS }, signal), []);
  const isNew = useSignal(false);
  const made = useSignal("");
  const deleted = useSignal<ListedToken | null>(null);
  const create = async ({ name, permission, expire_time }: Record<string, string>) => {
    made.value = (await post<{ token: string }>("serviceauth", { name, permission, expire_time })).token;
    isNew.value = false;
    reload();
  };
  return (
    <>
      <div class="bar">
        <span class="quiet">A network server of somebody else sends for your devices with one of these.</span>
        {session.value?.permission !== "read" && <button type="button" class="push primary" onClick={() => (isNew.value = true)}>New authorization</button>}
      </div>
      <Problem error={error} retry={reload} />
      {services?.length === 0 && <p class="empty card">There is none. Make one when a network operator asks for an authorization.</p>}
      {services && services.length > 0 && (
        <div class="scroll card" tabIndex={0} role="region" aria-label="Service authorizations">
          <table class="stacked">
            <thead><tr><th>Name</th><th>Permission</th><th>Expires</th><th>Last used</th><th><span class="sr">Actions</span></th></tr></thead>
            <tbody>
              {services.map((one, index) => (
                <tr key={index}>
                  <td>{one.name}</td>
                  <td>{one.permission}</td>
                  <td>{expiry(one.expire_time)}</td>
                  <td>{ago(one.last_authorization, Date.now())}</td>
                  <td class="actions">
                    {session.value?.permission === "full" && one.token !== null && (
                      <button type="button" class="small" aria-label={`Delete ${one.name}`} onClick={() => (deleted.value = one)}>Delete</button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {isNew.value && (
        <Dialog title="New service authorization" onClose={() => (isNew.value = false)}>
          <Form send="Create" onSend={create}>
            <Input label="Name" name="name" required maxLength={100} autocomplete="off" />
            <Permission />
            <Expires />
          </Form>
        </Dialog>
      )}
      {made.value && <Made token={made.value} onClose={() => (made.value = "")} />}
      {deleted.value && (
        <Confirm
          title="Delete a service authorization"
          send="Delete"
          onClose={() => (deleted.value = null)}
          onSend={async () => {
            await remove(`serviceauth/${deleted.value!.token}`);
            deleted.value = null;
            reload();
          }}
        >
          <p>Delete <strong>{deleted.value.name}</strong>? The network that uses it is refused within a minute.</p>
        </Confirm>
      )}
    </>
  );
}

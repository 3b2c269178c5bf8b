/** Service authorizations: tokens with which the network of another profile acts for this one. */
import { useSignal } from "@preact/signals";
import { get, post } from "../../lib/api";
import { Confirm } from "../../lib/confirm";
import { Dialog } from "../../lib/dialog";
import { Form, Input } from "../../lib/form";
import { useLoad } from "../../lib/load";
import { Problem } from "../../lib/problem";
import { session } from "../../lib/session";
import { Expires, FIELDS, type ListedToken, Made, Permission, TokenTable } from "./tokens";

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
        <TokenTable label="Service authorizations" tokens={services} onDelete={(one) => (deleted.value = one)} />
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
      <Confirm item={deleted} title="Delete a service authorization" path={(one) => `serviceauth/${one.token}`} onDone={reload}>
        {(one) => <p>Delete <strong>{one.name}</strong>? The network that uses it is refused within a minute.</p>}
      </Confirm>
    </>
  );
}

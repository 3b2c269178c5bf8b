/** The tokens of the profile. A new one is shown once. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { get, post } from "../../lib/api";
import { Confirm } from "../../lib/confirm";
import { Copy } from "../../lib/copy";
import { Dialog } from "../../lib/dialog";
import { Field, Form, Input } from "../../lib/form";
import { useLoad } from "../../lib/load";
import { Problem } from "../../lib/problem";
import { session } from "../../lib/session";
import { ago, timeText } from "../../lib/units";

export interface ListedToken {
  name: string;
  token: string | null;
  permission: string;
  expire_time: string | null;
  last_authorization: string | null;
  created_at: string;
}

export const FIELDS = ["name", "token", "permission", "expire_time", "last_authorization", "created_at"];
const SPANS: [span: string, text: string][] = [["1 day", "in a day"], ["1 month", "in a month"], ["3 months", "in three months"], ["1 year", "in a year"], ["never", "never"]];

export function Tokens() {
  const path = `profile/${session.value!.profile}/token`;
  const { value: tokens, error, reload } = useLoad((signal) => get<ListedToken[]>(path, { amount: 1_000, fields: FIELDS }, signal), []);
  const { value: account } = useLoad((signal) => get<{ email: string }>("account", {}, signal), []);
  const isNew = useSignal(false);
  const made = useSignal("");
  const deleted = useSignal<ListedToken | null>(null);
  const create = async ({ name, permission, expire_time, email, password, pin }: Record<string, string>) => {
    const body = { name, permission, expire_time, email, password, ...(pin && { pin_code: pin, otp_type: "authenticator" }) };
    made.value = (await post<{ token: string }>(path, body)).token;
    isNew.value = false;
    reload();
  };
  return (
    <>
      <div class="bar">
        <span class="quiet">Programs that manage the profile use one of these. Devices have tokens of their own.</span>
        {session.value?.permission !== "read" && <button type="button" class="push primary" onClick={() => (isNew.value = true)}>New token</button>}
      </div>
      <Problem error={error} retry={reload} />
      {tokens?.length === 0 && <p class="empty card">There is no token. Make one for a program that manages devices.</p>}
      {tokens && tokens.length > 0 && (
        <TokenTable label="Tokens" tokens={tokens} onDelete={(one) => (deleted.value = one)}>
          <p class="quiet after">A token that another account made, or that may do more than this session, is listed and cannot be deleted here.</p>
        </TokenTable>
      )}
      {isNew.value && (
        <Dialog title="New token" onClose={() => (isNew.value = false)}>
          <Form send="Create" onSend={create}>
            <Input label="Name" name="name" required maxLength={100} autocomplete="off" />
            <Permission />
            <Expires />
            <Input label="E-mail" name="email" type="email" required autocomplete="username" key={account?.email} defaultValue={account?.email} />
            <Input label="Password" name="password" type="password" required autocomplete="current-password" />
            <Input label="Pin of the authenticator app" name="pin" inputmode="numeric" autocomplete="one-time-code" hint="If the account has one." />
          </Form>
        </Dialog>
      )}
      {made.value && <Made token={made.value} onClose={() => (made.value = "")} />}
      <Confirm item={deleted} title="Delete a token" path={(one) => `${path}/${one.token}`} onDone={reload}>
        {(one) => <p>Delete <strong>{one.name}</strong>? Programs that use it are refused within a minute.</p>}
      </Confirm>
    </>
  );
}

/** The token of the session is marked, and has no button to delete it. */
export function TokenTable(props: { label: string; tokens: ListedToken[]; onDelete: (one: ListedToken) => void; children?: ComponentChildren }) {
  return (
    <div class="scroll card" tabIndex={0} role="region" aria-label={props.label}>
      <table class="stacked">
        <thead><tr><th>Name</th><th>Permission</th><th>Expires</th><th>Last used</th><th><span class="sr">Actions</span></th></tr></thead>
        <tbody>
          {props.tokens.map((one, index) => {
            const isOwn = one.token === session.value?.token;
            return (
              <tr key={index}>
                <td>{one.name} {isOwn && <span class="badge">this session</span>}</td>
                <td>{one.permission}</td>
                <td>{expiry(one.expire_time)}</td>
                <td>{ago(one.last_authorization, Date.now())}</td>
                <td class="actions">
                  {session.value?.permission === "full" && one.token !== null && !isOwn && (
                    <button type="button" class="small" aria-label={`Delete ${one.name}`} onClick={() => props.onDelete(one)}>Delete</button>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {props.children}
    </div>
  );
}

const expiry = (time: string | null): string => (time === null || time === "never" ? "never" : timeText(time));

export function Permission() {
  return (
    <Field label="Permission">
      {(id) => (
        <select id={id} name="permission">
          <option value="read">read: see everything</option>
          <option value="write">write: create and change, but not read</option>
          <option value="full">full: read, write and delete</option>
        </select>
      )}
    </Field>
  );
}

export function Expires() {
  return (
    <Field label="Expires">
      {(id) => (
        <select id={id} name="expire_time" defaultValue="3 months">
          {SPANS.map(([span, text]) => <option key={span} value={span} selected={span === "3 months"}>{text}</option>)}
        </select>
      )}
    </Field>
  );
}

export function Made({ token, onClose }: { token: string; onClose: () => void }) {
  return (
    <Dialog title="The new token" onClose={onClose}>
      <p>Copy it now, and keep it as you keep a password.</p>
      <p class="bar"><code class="token">{token}</code> <Copy text={token} what="the token" /></p>
    </Dialog>
  );
}

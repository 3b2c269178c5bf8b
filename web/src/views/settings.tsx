/** Settings of the profile and of the account. */
import { useSignal } from "@preact/signals";
import { get, post, put } from "../lib/api";
import { Dialog } from "../lib/dialog";
import { Form, Input } from "../lib/form";
import { useLoad } from "../lib/load";
import { Problem } from "../lib/problem";
import { to } from "../lib/router";
import { session } from "../lib/session";
import { timeText } from "../lib/units";
import { ServiceAuthorizations } from "./settings/services";
import { Team } from "./settings/team";
import { Tokens } from "./settings/tokens";
import "../admin.css";

const TABS: Record<string, { title: string; View: () => preact.JSX.Element }> = {
  profile: { title: "Profile", View: ProfileForm },
  tokens: { title: "Tokens", View: Tokens },
  team: { title: "Team", View: Team },
  services: { title: "Service authorizations", View: ServiceAuthorizations },
  account: { title: "Account", View: AccountForm },
};

export default function Settings({ parts: [tab = "profile"] }: { parts: string[] }) {
  const { View } = TABS[tab] ?? TABS["profile"]!;
  return (
    <>
      <h1>Settings</h1>
      <nav class="tabs" aria-label="Settings">
        {Object.entries(TABS).map(([name, { title }]) => (
          <a key={name} href={to("settings", name)} aria-current={TABS[name]!.View === View ? "page" : undefined}>{title}</a>
        ))}
      </nav>
      <View key={tab} />
    </>
  );
}

interface ProfileInfo {
  info: { id: string; name: string; usage_webhook: string | null; created_at: string };
  account_plan: string;
}

function ProfileForm() {
  const { profile } = session.value!;
  const { value, error, reload } = useLoad((signal) => get<ProfileInfo>(`profile/${profile}`, {}, signal), []);
  const isSaved = useSignal(false);
  const isNew = useSignal(false);
  const save = async ({ name = "", usage_webhook }: Record<string, string>) => {
    isSaved.value = false;
    await put(`profile/${profile}`, { name, usage_webhook: usage_webhook || null });
    session.value = { ...session.value!, name };
    isSaved.value = true;
  };
  const create = async ({ name }: Record<string, string>) => {
    await post("profile", { name });
    isNew.value = false;
  };
  return (
    <>
      <Problem error={error} retry={reload} />
      {value && (
        <section class="card" aria-label="Profile">
          <Form send="Save" onSend={save}>
            <Input label="Name" name="name" required maxLength={100} defaultValue={value.info.name} autocomplete="off" />
            <Input
              label="Webhook for alerts of usage" name="usage_webhook" type="url" defaultValue={value.info.usage_webhook ?? ""}
              hint="Gets a POST when 80, 90 and 100 % of a quota is used. Empty: none."
            />
          </Form>
          <p class="good" role="status">{isSaved.value && "Saved"}</p>
          <dl>
            <dt>Id</dt><dd class="mono">{value.info.id}</dd>
            <dt>Plan</dt><dd>{value.account_plan}</dd>
            <dt>Created</dt><dd>{timeText(value.info.created_at)}</dd>
          </dl>
        </section>
      )}
      {session.value?.permission === "full" && <button type="button" onClick={() => (isNew.value = true)}>New profile</button>}
      {isNew.value && (
        <Dialog title="New profile" onClose={() => (isNew.value = false)}>
          <p>A profile has devices, connectors, members and quotas of its own. Switch to it in the menu at the top.</p>
          <Form send="Create" onSend={create}><Input label="Name" name="name" required maxLength={100} autocomplete="off" /></Form>
        </Dialog>
      )}
    </>
  );
}

interface Account {
  name: string;
  email: string;
  timezone: string;
  company: string | null;
  phone: string | null;
  last_login: string | null;
  created_at: string;
  otp: { authenticator: boolean };
}

function AccountForm() {
  const { value, error, reload } = useLoad((signal) => get<Account>("account", {}, signal), []);
  const isSaved = useSignal(false);
  const save = async ({ name, timezone, company, phone }: Record<string, string>) => {
    isSaved.value = false;
    await put("account", { name, timezone, company: company || null, phone: phone || null });
    isSaved.value = true;
  };
  return (
    <>
      <Problem error={error} retry={reload} />
      {value && (
        <section class="card" aria-label="Account">
          <Form send="Save" onSend={save}>
            <Input label="Name" name="name" required maxLength={100} defaultValue={value.name} autocomplete="name" />
            <Input label="Time zone" name="timezone" required list="zones" defaultValue={value.timezone} autocomplete="off" />
            <datalist id="zones">{Intl.supportedValuesOf("timeZone").map((zone) => <option key={zone} value={zone} />)}</datalist>
            <Input label="Company" name="company" maxLength={200} defaultValue={value.company ?? ""} autocomplete="organization" />
            <Input label="Phone" name="phone" maxLength={200} defaultValue={value.phone ?? ""} autocomplete="tel" />
          </Form>
          <p class="good" role="status">{isSaved.value && "Saved"}</p>
          <dl>
            <dt>E-mail</dt><dd>{value.email}</dd>
            <dt>Authenticator app</dt><dd>{value.otp.authenticator ? "in use" : "not in use"}</dd>
            <dt>Last login</dt><dd>{value.last_login ? timeText(value.last_login) : "never"}</dd>
            <dt>Created</dt><dd>{timeText(value.created_at)}</dd>
          </dl>
        </section>
      )}
    </>
  );
}

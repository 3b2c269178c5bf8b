/** The menu of the session: which profile is shown, another one, and signing out. */
import { useSignal } from "@preact/signals";
import { get } from "./lib/api";
import { Dialog } from "./lib/dialog";
import { Field } from "./lib/form";
import { useLoad } from "./lib/load";
import { LoginForm } from "./lib/login";
import { Problem } from "./lib/problem";
import { go, to } from "./lib/router";
import { isKept, type Profile, session, signInTo, signOut } from "./lib/session";

export function Profiles() {
  const isSwitching = useSignal(false);
  return (
    <div class="profiles">
      <button type="button" aria-haspopup="dialog" title="Switch to another profile" onClick={() => (isSwitching.value = true)}>
        <span class="sr">Profile: </span>
        <span class="name">{session.value?.name}</span> <span aria-hidden="true">▾</span>
      </button>
      <button type="button" onClick={() => signOut()}>
        Sign out
      </button>
      {isSwitching.value && <Switch onClose={() => (isSwitching.value = false)} />}
    </div>
  );
}

/** Each profile has tokens of its own, so opening another one needs e-mail and password. */
function Switch({ onClose }: { onClose: () => void }) {
  const chosen = useSignal("");
  const { value, error, reload } = useLoad(async (signal) => {
    const profiles = await get<Profile[]>("profile", {}, signal);
    const account = await get<{ email: string }>("account", {}, signal);
    return { email: account.email, others: profiles.filter(({ id }) => id !== session.value?.profile) };
  }, []);
  const target = chosen.value || value?.others[0]?.id || "";
  return (
    <Dialog title="Switch profile" onClose={onClose}>
      <Problem error={error} retry={reload} />
      {value && value.others.length === 0 && <p>The account has no other profile. You can make one in <a href={to("settings")} onClick={onClose}>Settings</a>.</p>}
      {value && value.others.length > 0 && (
        <>
          <Field label="Profile" hint="This tab opens it with a token of its own. Other tabs keep theirs.">
            {(id) => (
              <select id={id} value={target} onChange={(event) => (chosen.value = event.currentTarget.value)}>
                {value.others.map((profile) => (
                  <option key={profile.id} value={profile.id}>{profile.name}</option>
                ))}
              </select>
            )}
          </Field>
          <LoginForm send="Switch" email={value.email} onLogin={async (login) => { await signInTo(target, login, isKept()); onClose(); go("devices"); }} />
        </>
      )}
    </Dialog>
  );
}

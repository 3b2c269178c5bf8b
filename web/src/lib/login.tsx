/** Forms that ask for e-mail and password, and for the authenticator's pin if the account has one. */
import { useSignal } from "@preact/signals";
import { Form, Input } from "./form";
import { type Login, NeedsPin, type Profile, profilesOf, signInTo } from "./session";

/** Ask for a login and call `onLogin` with it. A pin is asked for when `onLogin` throws NeedsPin. */
export function LoginForm(props: { send: string; email?: string; onLogin: (login: Login, isKept: boolean) => Promise<void>; hasKeep?: boolean }) {
  const needsPin = useSignal(false);
  const send = async ({ email = "", password = "", pin = "", keep }: Record<string, string>) => {
    try {
      await props.onLogin({ email, password, pin }, keep === "on");
    } catch (error) {
      if (error instanceof NeedsPin) needsPin.value = true;
      throw error;
    }
  };
  return (
    <Form send={props.send} onSend={send}>
      <Input label="E-mail" name="email" type="email" required autocomplete="username" defaultValue={props.email} pattern=".+@.+" />
      <Input label="Password" name="password" type="password" required autocomplete="current-password" />
      {needsPin.value && <Input label="Pin of the authenticator app" name="pin" required inputmode="numeric" autocomplete="one-time-code" autofocus />}
      {props.hasKeep && <Keep />}
    </Form>
  );
}

export function Keep() {
  return (
    <label class="check">
      <input type="checkbox" name="keep" /> Stay signed in on this browser
    </label>
  );
}

/** Sign in, then choose a profile if the account has more than one. */
export function AccountSignIn() {
  const choice = useSignal<{ profiles: Profile[]; login: Login; isKept: boolean } | null>(null);
  if (choice.value) {
    const { profiles, login, isKept } = choice.value;
    // The pin of the login makes one token, for some minutes. Later the form asks for another pin.
    return <ChooseProfile profiles={profiles} hasPin={login.pin !== ""} onChoose={(profile, pin) => signInTo(profile, { ...login, pin: pin || login.pin }, isKept)} />;
  }
  const begin = async (login: Login, isKept: boolean) => {
    const profiles = await profilesOf(login);
    if (profiles.length === 1) return signInTo(profiles[0]!.id, login, isKept);
    choice.value = { profiles, login, isKept };
  };
  return <LoginForm send="Sign in" onLogin={begin} hasKeep />;
}

function ChooseProfile(props: { profiles: Profile[]; hasPin: boolean; onChoose: (profile: string, pin: string) => Promise<void> }) {
  const needsPin = useSignal(false);
  const send = async ({ profile = "", pin = "" }: Record<string, string>) => {
    try {
      await props.onChoose(profile, pin);
    } catch (error) {
      if (props.hasPin || error instanceof NeedsPin) needsPin.value = true;
      throw error;
    }
  };
  return (
    <Form send="Open" onSend={send}>
      <fieldset class="choices">
        <legend>Which profile?</legend>
        {props.profiles.map(({ id, name }, index) => (
          <label class="check" key={id}>
            <input type="radio" name="profile" value={id} defaultChecked={index === 0} required /> {name}
          </label>
        ))}
      </fieldset>
      {needsPin.value && <Input label="Next pin of the authenticator app" name="pin" required inputmode="numeric" autocomplete="one-time-code" />}
    </Form>
  );
}

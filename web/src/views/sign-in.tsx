/** Signing in with a profile token. */
import { Form, Input } from "../lib/form";
import { ended, signIn } from "../lib/session";

export function SignIn() {
  return (
    <main class="sign-in">
      <h1>Decant</h1>
      {ended.value && <p class="problem" role="alert">{ended.value}</p>}
      <Form send="Sign in" onSend={({ token = "", keep }) => signIn(token.trim(), keep === "on")}>
        <Input label="Profile token" name="token" required autocomplete="off" spellcheck={false} />
        <label class="check">
          <input type="checkbox" name="keep" /> Stay signed in on this browser
        </label>
      </Form>
    </main>
  );
}

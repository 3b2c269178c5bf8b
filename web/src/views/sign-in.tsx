/** Signing in with a profile token, or with e-mail and password. */
import { useSignal } from "@preact/signals";
import { Form, Input } from "../lib/form";
import { AccountSignIn, Keep } from "../lib/login";
import { ended, signIn } from "../lib/session";

export function SignIn() {
  const isByAccount = useSignal(false);
  return (
    <main class="sign-in">
      <h1>Sign in to Decant</h1>
      {ended.value && <p class="problem" role="alert">{ended.value}</p>}
      <div class="tabs">
        <button type="button" aria-pressed={!isByAccount.value} onClick={() => (isByAccount.value = false)}>
          Profile token
        </button>
        <button type="button" aria-pressed={isByAccount.value} onClick={() => (isByAccount.value = true)}>
          E-mail and password
        </button>
      </div>
      {isByAccount.value ? (
        <AccountSignIn />
      ) : (
        <Form send="Sign in" onSend={({ token = "", keep }) => signIn(token.trim(), keep === "on")}>
          <Input
            label="Profile token" name="token" required autocomplete="off" spellcheck={false}
            hint="The server prints it when it starts. It begins with p-."
          />
          <Keep />
        </Form>
      )}
    </main>
  );
}

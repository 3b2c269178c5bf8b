/** The menu of the session: which profile is shown, and signing out. */
import { session, signOut } from "./lib/session";

export function Profiles() {
  return (
    <div class="profiles">
      <span>{session.value?.name}</span>
      <button type="button" onClick={() => signOut()}>
        Sign out
      </button>
    </div>
  );
}

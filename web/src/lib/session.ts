/** Who is signed in: a profile token, in memory, and in the browser's storage if the person wishes. */
import { signal } from "@preact/signals";
import { ApiError, call, useToken } from "./api";

/** A token, and whether the console made it by e-mail and password: signing out deletes such a token. */
interface Kept {
  token: string;
  isMade: boolean;
}

export interface Session extends Kept {
  profile: string;
  /** The permission of the token: read, write or full. */
  permission: string;
  /** The name of the profile. */
  name: string;
}

const KEY = "decant-session";
export const session = signal<Session | null>(null);
/** Why the session ended, for the sign-in page. */
export const ended = signal("");

/** Sign in with a profile token. Throws an ApiError if it does not work. */
export async function signIn(token: string, isKept: boolean, isMade = false): Promise<void> {
  const found = await call<{ type: string; permission: string }>("GET", "info", { token }).catch((error: unknown) => {
    throw explained(error, "Nobody has this token, or it has expired");
  });
  if (found.type !== "profile") throw new Error("This is no profile token. The console needs one; a device token is not enough.");
  const { info } = await call<{ info: { id: string; name: string } }>("GET", "profile/current", { token });
  useToken(token, check);
  if (isKept) {
    const kept = JSON.stringify({ token, isMade } satisfies Kept);
    sessionStorage.setItem(KEY, kept); // a tab that has its own profile keeps it
    localStorage.setItem(KEY, kept);
  }
  ended.value = "";
  session.value = { token, isMade, profile: info.id, permission: found.permission, name: info.name };
}

export const isKept = (): boolean => sessionStorage.getItem(KEY) !== null || localStorage.getItem(KEY) !== null;

/** Forget the token. Without a reason, as a person asks for it, a token that the console made is deleted too. */
export function signOut(reason = ""): void {
  const old = session.value;
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
  useToken("");
  ended.value = reason;
  session.value = null;
  if (old?.isMade && !reason) {
    void call("DELETE", `profile/${old.profile}/token/${old.token}`, { token: old.token }).catch(() => {}); // else it ends after three months
  }
}

/** Sign in with the token that the browser keeps, if there is one. */
export async function resume(): Promise<void> {
  const text = sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY);
  if (!text) return;
  try {
    const { token, isMade } = JSON.parse(text) as Kept;
    await signIn(token, true, isMade);
  } catch (error) {
    if ((error as ApiError).status === 401) signOut("The token has expired or was deleted. Sign in again.");
    else ended.value = (error as Error).message;
  }
}

/** A request was refused. Either the token lacks the right, which its view says, or it does not work any more. */
async function check(): Promise<void> {
  const token = session.value?.token;
  if (!token) return;
  try {
    await call("GET", "info", { token });
  } catch (error) {
    if ((error as ApiError).status === 401 && session.value?.token === token) {
      signOut("The token has expired or was deleted. Sign in again.");
    }
  }
}

export interface Profile {
  id: string;
  name: string;
}

export interface Login {
  email: string;
  password: string;
  /** "": none was asked for. */
  pin: string;
}

/** The account wants the pin that its authenticator app shows. */
export class NeedsPin extends Error {}

async function withLogin<T>(path: string, { email, password, pin }: Login, more: object = {}): Promise<T> {
  const body = { email, password, ...(pin && { pin_code: pin, otp_type: "authenticator" }), ...more };
  try {
    return await call<T>("POST", path, { token: "", body });
  } catch (error) {
    if ((error as Error).message.includes('"otp_enabled"')) throw new NeedsPin("Enter the pin that your authenticator app shows.");
    throw explained(error, pin ? "The e-mail, the password or the pin is wrong" : "The e-mail or the password is wrong");
  }
}

/** Return an error with plain words before the API's, if it says that the sign-in was refused. */
function explained(error: unknown, why: string): unknown {
  return error instanceof ApiError && error.status === 401 ? new ApiError(`${why}: ${error.message}`, 401, error.requestId) : error;
}

/** Log in by e-mail and password. Throws NeedsPin or an ApiError. */
export async function profilesOf(login: Login): Promise<Profile[]> {
  return (await withLogin<{ profiles: Profile[] }>("account/login", login)).profiles;
}

/** Make a full token of a profile, and sign in with it. Throws NeedsPin or an ApiError. */
export async function signInTo(profile: string, login: Login, isKept: boolean): Promise<void> {
  const made = await withLogin<{ token: string }>("account/profile/token", login, { profile_id: profile, name: "Console" });
  await signIn(made.token, isKept, true);
}

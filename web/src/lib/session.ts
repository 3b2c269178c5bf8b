/** Who is signed in: a profile token, in memory, and in the browser's storage if the person wishes. */
import { signal } from "@preact/signals";
import { type ApiError, call, useToken } from "./api";

export interface Session {
  token: string;
  profile: string;
  /** The permission of the token: read, write or full. */
  permission: string;
  name: string;
}

const KEY = "decant-token";
export const session = signal<Session | null>(null);
/** Why the session ended, for the sign-in page. */
export const ended = signal("");

/** Sign in with a profile token. Throws an ApiError if it does not work. */
export async function signIn(token: string, isKept: boolean): Promise<void> {
  const found = await call<{ profile: string; permission: string; name: string }>("GET", "info", { token });
  if (typeof found.profile !== "string") throw new Error("This is no profile token");
  useToken(token, check);
  if (isKept) {
    sessionStorage.setItem(KEY, token); // a tab that has its own profile keeps it
    localStorage.setItem(KEY, token);
  }
  ended.value = "";
  session.value = { token, profile: found.profile, permission: found.permission, name: found.name };
}

export const isKept = (): boolean => sessionStorage.getItem(KEY) !== null || localStorage.getItem(KEY) !== null;

export function signOut(reason = ""): void {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
  useToken("");
  ended.value = reason;
  session.value = null;
}

/** Sign in with the token that the browser keeps, if there is one. */
export async function resume(): Promise<void> {
  const token = sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY);
  if (!token) return;
  try {
    await signIn(token, true);
  } catch (error) {
    if ((error as ApiError).status === 401) signOut("The token has expired. Sign in again.");
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

/** Access policies, as sentences: what an analysis or a run user may do. */
import { useSignal } from "@preact/signals";
import { get, put } from "../lib/api";
import { Confirm } from "../lib/confirm";
import { useLoad } from "../lib/load";
import { type NameOf, type Policy, read, sentences } from "../lib/policy";
import { Problem } from "../lib/problem";
import { session } from "../lib/session";
import { PolicyForm } from "./policies/form";
import "../admin.css";

const AT_ONCE = 5;
const NEW: Omit<Policy, "id"> = { name: "", active: true, targets: [["analysis"]], permissions: [{ effect: "allow", action: ["access", "get_data"], resource: ["device"] }] };

/** The names of what policies name by an id: of analyses and run users all, of devices those that are named. */
export type Names = Record<string, Map<string, string>>;

export default function Policies() {
  const { value, error, reload } = useLoad(load, []);
  const edited = useSignal<Policy | Omit<Policy, "id"> | null>(null);
  const deleted = useSignal<Policy | null>(null);
  const failure = useSignal<Error | undefined>(undefined);
  const mayWrite = session.value?.permission !== "read";
  const toggle = async (policy: Policy) => {
    try {
      await put(`am/${policy.id}`, { active: !policy.active });
      failure.value = undefined;
      reload();
    } catch (problem) {
      failure.value = problem as Error;
    }
  };
  const nameOf: NameOf = (kind, id) => value?.names[kind]?.get(id) ?? id;
  return (
    <>
      <div class="bar">
        <h1>Access</h1>
        {mayWrite && <button type="button" class="push primary" onClick={() => (edited.value = NEW)}>New policy</button>}
      </div>
      <p class="quiet">Policies say what run users (people who may see some of your devices) and analyses (programs with a token of their own) may do. Without one they may do nothing; a denial always wins.</p>
      <Problem error={error} retry={reload} />
      <Problem error={failure.value} />
      {value?.policies.length === 0 && (
        <p class="empty card">There is no policy. You need none to use the profile yourself. Make one to let a run user or an analysis see some devices.</p>
      )}
      {value?.policies.map((policy) => (
        <article key={policy.id} class={policy.active ? "card policy" : "card policy off"}>
          <div class="bar">
            <h2>{policy.name}</h2>
            {!policy.active && <span class="badge off">Not active</span>}
            {mayWrite && (
              <span class="push buttons">
                <button type="button" class="small" aria-label={`${policy.active ? "Deactivate" : "Activate"} ${policy.name}`} onClick={() => toggle(policy)}>
                  {policy.active ? "Deactivate" : "Activate"}
                </button>
                <button type="button" class="small" aria-label={`Edit ${policy.name}`} onClick={() => (edited.value = policy)}>Edit</button>
                {session.value?.permission === "full" && (
                  <button type="button" class="small" aria-label={`Delete ${policy.name}`} onClick={() => (deleted.value = policy)}>Delete</button>
                )}
              </span>
            )}
          </div>
          <ul>
            {sentences(policy, nameOf).map(({ text, isDenial }, index) => <li key={index} class={isDenial ? "denial" : ""}>{text}</li>)}
          </ul>
        </article>
      ))}
      {edited.value && value && (
        <PolicyForm policy={edited.value} names={value.names} onClose={() => (edited.value = null)} onSaved={() => { edited.value = null; reload(); }} />
      )}
      <Confirm item={deleted} title="Delete a policy" path={(one) => `am/${one.id}`} onDone={reload}>
        {(one) => <p>Delete <strong>{one.name}</strong>? What it allowed ends within a minute.</p>}
      </Confirm>
    </>
  );
}

async function load(signal: AbortSignal): Promise<{ policies: Policy[]; names: Names }> {
  const list = <T,>(path: string, fields: string[]) => get<T[]>(path, { amount: 10_000, fields, orderBy: "name,asc" }, signal);
  const [listed, analyses, users] = await Promise.all([
    list<{ id: string }>("am", ["name"]),
    list<{ id: string; name: string }>("analysis", ["id", "name"]),
    list<{ id: string; name: string }>("run/users", ["id", "name"]),
  ]);
  const policies = await inTurns(listed.map(({ id }) => () => get<Policy>(`am/${id}`, {}, signal)));
  const devices = new Set<string>();
  for (const { permissions } of policies) {
    for (const { resource } of permissions) {
      const match = read(resource);
      if (match?.kind === "device" && match.form === "id") devices.add(match.key);
    }
  }
  const found = await inTurns([...devices].map((id) => () => get<{ id: string; name: string }>(`device/${encodeURIComponent(id)}`, {}, signal).catch(() => ({ id, name: id }))));
  const namesOf = (rows: { id: string; name: string }[]) => new Map(rows.map(({ id, name }) => [id, name]));
  return { policies, names: { analysis: namesOf(analyses), run_user: namesOf(users), device: namesOf(found) } };
}

/** Do some requests at a time. */
async function inTurns<T>(tasks: (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  for (let start = 0; start < tasks.length; start += AT_ONCE) {
    results.push(...(await Promise.all(tasks.slice(start, start + AT_ONCE).map((task) => task()))));
  }
  return results;
}

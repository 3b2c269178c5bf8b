/** Policies of access management as sentences, and as what a form edits. Pure. */

export type Tuple = unknown[];
export interface Permission {
  effect: "allow" | "deny";
  action: string[];
  resource: Tuple;
}
export interface Policy {
  id: string;
  name: string;
  active: boolean;
  targets: Tuple[];
  permissions: Permission[];
}
/** What a tuple names: all of a kind, one by its id, by a tag, by a tag that caller and object share. */
export type Form = "any" | "id" | "tag" | "tag_match";
export interface Match {
  kind: string;
  form: Form;
  /** The id, or the key of the tag. */
  key: string;
  value: string;
}
/** Returns the name of what has an id; the id itself if it is not known. */
export type NameOf = (kind: string, id: string) => string;

const NOUNS: Record<string, [one: string, many: string]> = {
  analysis: ["analysis", "analyses"], run_user: ["run user", "run users"], device: ["device", "devices"],
  access_management: ["policy", "policies"], account: ["account", "accounts"], action: ["action", "actions"],
  connector: ["connector", "connectors"], network: ["network", "networks"],
  service_authorization: ["service authorization", "service authorizations"], services: ["service", "services"],
};
const VERBS: Record<string, string> = {
  access: "see", create: "create", edit: "change", delete: "delete", token_access: "use the tokens of", get_data: "read data of",
  send_data: "send data to", edit_data: "change data of", delete_data: "delete data of", manage_chunks: "manage the chunks of",
  export_data: "export data of", import_data: "import data into", access_profile: "see the profiles of",
  access_profile_statistics: "see the usage of", login_as_user: "log in as", mqtt_publish: "publish over MQTT by",
};

export const verb = (action: string): string => VERBS[action] ?? action.replaceAll("_", " ");
export const noun = (kind: string, count: 1 | 2 = 1): string => NOUNS[kind]?.[count - 1] ?? kind.replaceAll("_", " ");

/** Return what a tuple names; undefined if it has no form, so that it matches nothing. */
export function read(tuple: Tuple): Match | undefined {
  if (!tuple.every((part) => typeof part === "string")) return undefined;
  const [kind = "", field, key = "", second, value = ""] = tuple as string[];
  if (tuple.length === 1) return { kind, form: "any", key: "", value: "" };
  if (tuple.length === 3 && (field === "id" || field === "tag_match")) return { kind, form: field, key, value: "" };
  if (tuple.length === 5 && field === "tag.key" && second === "tag.value") return { kind, form: "tag", key, value };
  return undefined;
}

/** Return the tuple that names this. */
export function write({ kind, form, key, value }: Match): Tuple {
  if (form === "any") return [kind];
  return form === "tag" ? [kind, "tag.key", key, "tag.value", value] : [kind, form, key];
}

/** Return the sentences of a policy, each with whether it denies. */
export function sentences(policy: Pick<Policy, "targets" | "permissions">, nameOf: NameOf): { text: string; isDenial: boolean }[] {
  if (policy.targets.length === 0) return [{ text: "Nobody is named, so the policy changes nothing.", isDenial: false }];
  if (policy.permissions.length === 0) return [{ text: "Nothing is allowed, so the policy changes nothing.", isDenial: false }];
  const subject = capital(listed(policy.targets.map((target) => who(target, nameOf))));
  return policy.permissions.map(({ effect, action, resource }) => {
    const isDenial = effect === "deny";
    const deeds = action.length > 0 ? listed(action.map(verb)) : "do nothing with";
    return { text: `${subject} ${isDenial ? "may not" : "may"} ${deeds} ${what(resource, nameOf, isDenial)}.`, isDenial };
  });
}

function who(target: Tuple, nameOf: NameOf): string {
  const match = read(target);
  if (!match) return malformed(target);
  const { kind, form, key, value } = match;
  if (form === "any") return `all ${noun(kind, 2)}`;
  if (form === "id") return `the ${noun(kind)} “${nameOf(kind, key)}”`;
  return form === "tag" ? `${noun(kind, 2)} with the tag ${key} = ${value}` : `${noun(kind, 2)} with a tag ${key}`;
}

function what(resource: Tuple, nameOf: NameOf, isDenial: boolean): string {
  const match = read(resource);
  if (match?.form === "any" && isDenial) return `any ${noun(match.kind)}`;
  if (match?.form === "tag_match") return `${noun(match.kind, 2)} that have the same tag ${match.key}`;
  return who(resource, nameOf);
}

const malformed = (tuple: Tuple): string => `nothing (${JSON.stringify(tuple)} has no known form)`;
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function listed(words: string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

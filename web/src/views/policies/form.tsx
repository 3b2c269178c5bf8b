/** The form of a policy, with the sentences that it makes. */
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { get, post, put } from "../../lib/api";
import { Dialog } from "../../lib/dialog";
import { Form, Input } from "../../lib/form";
import { useLoad } from "../../lib/load";
import { type Form as Shape, type Match, noun, type Permission, type Policy, read, sentences, type Tuple, verb, write } from "../../lib/policy";
import { Problem } from "../../lib/problem";
import type { Names } from "../policies";

interface Grant {
  value: string;
  match_by: Shape[];
}
/** What policies can allow, by the kind of caller and the resource. */
type Catalogue = { settings: Record<string, Record<string, Grant[]>> };

const SHAPES: Record<Shape, string> = { any: "all", id: "one", tag: "those with a tag", tag_match: "those with the same tag" };
const CALLERS = ["analysis", "run_user"];
const EMPTY: Match = { kind: "", form: "any", key: "", value: "" };

export function PolicyForm(props: { policy: Omit<Policy, "id"> & { id?: string }; names: Names; onClose: () => void; onSaved: () => void }) {
  const { policy, names } = props;
  const targets = useSignal<Tuple[]>(policy.targets);
  const permissions = useSignal<Permission[]>(policy.permissions);
  const { value: catalogue, error } = useLoad((signal) => get<Catalogue>("am/settings", {}, signal), []);
  const save = async ({ name, active }: Record<string, string>) => {
    const body = { name, active: active === "on", targets: targets.value, permissions: permissions.value };
    if (permissions.value.some(({ action }) => action.length === 0)) throw new Error("Choose for each rule what it is about.");
    if (policy.id === undefined) await post("am", body);
    else await put(`am/${policy.id}`, body);
    props.onSaved();
  };
  const grants = catalogue ? grantsOf(catalogue, targets.value) : {};
  const nameOf = (kind: string, id: string) => names[kind]?.get(id) ?? id;
  return (
    <Dialog title={policy.id === undefined ? "New policy" : "Edit a policy"} onClose={props.onClose} isWide>
      <Problem error={error} />
      {catalogue && (
        <Form send="Save" onSend={save}>
          <Input label="Name" name="name" required maxLength={100} defaultValue={policy.name} autocomplete="off" />
          <label class="check"><input type="checkbox" name="active" defaultChecked={policy.active} /> Active</label>
          <fieldset class="choices">
            <legend>Who</legend>
            {targets.value.map((target, index) => (
              <Rule key={index} title={`Who ${index + 1}`} onRemove={() => (targets.value = targets.value.filter((_, at) => at !== index))}>
                <TupleInput
                  tuple={target} kinds={CALLERS} shapes={["any", "id", "tag", "tag_match"]} names={names}
                  onChange={(changed) => (targets.value = targets.value.map((one, at) => (at === index ? changed : one)))}
                />
              </Rule>
            ))}
            <button type="button" class="small" onClick={() => (targets.value = [...targets.value, ["analysis"]])}>Add somebody</button>
          </fieldset>
          <fieldset class="choices">
            <legend>What</legend>
            {permissions.value.map((permission, index) => (
              <Rule key={index} title={`Rule ${index + 1}`} onRemove={() => (permissions.value = permissions.value.filter((_, at) => at !== index))}>
                <PermissionInput
                  permission={permission} grants={grants} names={names}
                  onChange={(changed) => (permissions.value = permissions.value.map((one, at) => (at === index ? changed : one)))}
                />
              </Rule>
            ))}
            <button type="button" class="small" onClick={() => (permissions.value = [...permissions.value, { effect: "allow", action: ["access"], resource: ["device"] }])}>
              Add a rule
            </button>
          </fieldset>
          <div class="note policy-text" aria-live="polite">
            {sentences({ targets: targets.value, permissions: permissions.value }, nameOf).map(({ text }, index) => <p key={index}>{text}</p>)}
          </div>
          <p />
        </Form>
      )}
    </Dialog>
  );
}

function Rule({ title, onRemove, children }: { title: string; onRemove: () => void; children: preact.ComponentChildren }) {
  return (
    <fieldset class="rule">
      <legend>{title}</legend>
      {children}
      <div class="buttons"><button type="button" class="small" aria-label={`Remove ${title.toLowerCase()}`} onClick={onRemove}>Remove</button></div>
    </fieldset>
  );
}

function PermissionInput(props: { permission: Permission; grants: Record<string, Grant[]>; names: Names; onChange: (permission: Permission) => void }) {
  const { permission, grants } = props;
  const kind = String(permission.resource[0] ?? "");
  const known = grants[kind] ?? [];
  const chosen = known.filter(({ value }) => permission.action.includes(value));
  const shapes = (Object.keys(SHAPES) as Shape[]).filter((shape) => chosen.every(({ match_by }) => match_by.includes(shape)));
  const others = permission.action.filter((action) => !known.some(({ value }) => value === action));
  const check = (action: string, isOn: boolean) =>
    props.onChange({ ...permission, action: isOn ? [...permission.action, action] : permission.action.filter((one) => one !== action) });
  const move = (resource: Tuple) =>
    props.onChange(resource[0] === kind ? { ...permission, resource } : { ...permission, resource, action: [grants[String(resource[0])]![0]!.value] });
  return (
    <>
      <select class="short" aria-label="Effect" value={permission.effect} onChange={(event) => props.onChange({ ...permission, effect: event.currentTarget.value as Permission["effect"] })}>
        <option value="allow">may</option>
        <option value="deny">may not</option>
      </select>
      <div class="deeds">
        {known.map(({ value }) => (
          <label key={value}>
            <input type="checkbox" checked={permission.action.includes(value)} onChange={(event) => check(value, event.currentTarget.checked)} /> {verb(value)}
          </label>
        ))}
        {others.map((action) => (
          <label key={action}><input type="checkbox" checked onChange={() => check(action, false)} /> {verb(action)} <span class="quiet">(has no effect)</span></label>
        ))}
      </div>
      <TupleInput tuple={permission.resource} kinds={Object.keys(grants)} shapes={shapes} names={props.names} onChange={move} />
    </>
  );
}

/** Says what a rule is about. A tuple without a known form is shown, and stays until another form is chosen. */
function TupleInput(props: { tuple: Tuple; kinds: string[]; shapes: Shape[]; names: Names; onChange: (tuple: Tuple) => void }) {
  const { tuple, names, shapes } = props;
  const list = useId();
  const match = read(tuple) ?? { ...EMPTY, kind: String(tuple[0] ?? "") };
  const change = (some: Partial<Match>) => props.onChange(write({ ...match, ...some }));
  const kinds = props.kinds.includes(match.kind) ? props.kinds : [match.kind, ...props.kinds];
  const known = names[match.kind];
  return (
    <div class="parts">
      <select aria-label="Kind" value={match.kind} onChange={(event) => change({ kind: event.currentTarget.value, form: "any" })}>
        {kinds.map((kind) => <option key={kind} value={kind}>{noun(kind, 2)}</option>)}
      </select>
      <select aria-label="Which" value={match.form} onChange={(event) => change({ form: event.currentTarget.value as Shape, key: "", value: "" })}>
        {[...new Set([...shapes, match.form])].map((shape) => <option key={shape} value={shape}>{SHAPES[shape]}</option>)}
      </select>
      {match.form === "id" && (
        <>
          <input aria-label="Id" placeholder="Id" required value={match.key} list={list} onInput={(event) => change({ key: event.currentTarget.value })} />
          <datalist id={list}>{[...(known ?? [])].map(([id, name]) => <option key={id} value={id}>{name}</option>)}</datalist>
        </>
      )}
      {(match.form === "tag" || match.form === "tag_match") && (
        <input aria-label="Key of the tag" placeholder="Key" required value={match.key} onInput={(event) => change({ key: event.currentTarget.value })} />
      )}
      {match.form === "tag" && (
        <input aria-label="Value of the tag" placeholder="Value" required value={match.value} onInput={(event) => change({ value: event.currentTarget.value })} />
      )}
    </div>
  );
}

/** Return what callers of the kinds that are named can be allowed. */
function grantsOf({ settings }: Catalogue, targets: Tuple[]): Record<string, Grant[]> {
  const kinds = new Set(targets.map(([kind]) => String(kind)));
  return kinds.size === 1 && kinds.has("run_user") ? settings["run_user"]! : settings["analysis"]!;
}

/** Connectors and networks: those of the profile, and the catalogue that every profile has. */
import { useSignal } from "@preact/signals";
import { get, post, put } from "../lib/api";
import { Confirm } from "../lib/confirm";
import { Dialog } from "../lib/dialog";
import { Field, Form, Input } from "../lib/form";
import { type Integration, type Kind, KINDS, listOf } from "../lib/integration";
import { useLoad } from "../lib/load";
import { Problem } from "../lib/problem";
import { go, to } from "../lib/router";
import { session } from "../lib/session";
import "../admin.css";

const EMPTY: Record<Kind, string> = {
  connector: "You have none of your own. A connector says what devices of one kind send: make one, or begin with a copy of one below.",
  network: "You have none of your own. A network server, such as The Things Stack, sends for many devices: make a network for it.",
};

export default function Connectors({ parts: [tab = "connectors"] }: { parts: string[] }) {
  const kind: Kind = tab === "networks" ? "network" : "connector";
  return (
    <>
      <h1>Connectors</h1>
      <nav class="tabs" aria-label="Connectors and networks">
        <a href={to("connectors")} aria-current={kind === "connector" ? "page" : undefined}>Connectors</a>
        <a href={to("connectors", "networks")} aria-current={kind === "network" ? "page" : undefined}>Networks</a>
      </nav>
      <List key={kind} kind={kind} />
    </>
  );
}

function List({ kind }: { kind: Kind }) {
  const { value, error, reload } = useLoad((signal) => listOf(kind, signal), []);
  const edited = useSignal<Partial<Integration> | null>(null);
  const deleted = useSignal<Integration | null>(null);
  const mayWrite = session.value?.permission !== "read";
  const own = value?.filter((one) => !one.public) ?? [];
  const catalogue = value?.filter((one) => one.public) ?? [];
  return (
    <>
      <div class="bar">
        <span class="quiet">{KINDS[kind].about}</span>
        {mayWrite && <button type="button" class="push primary" onClick={() => (edited.value = {})}>New {kind}</button>}
      </div>
      <Problem error={error} retry={reload} />
      {value && own.length === 0 && <p class="empty card">{EMPTY[kind]}</p>}
      <div class="grid">
        {own.map((one) => (
          <Tile key={one.id} kind={kind} one={one}>
            {mayWrite && <button type="button" class="small" aria-label={`Edit ${one.name}`} onClick={() => (edited.value = one)}>Edit</button>}
            {session.value?.permission === "full" && (
              <button type="button" class="small" aria-label={`Delete ${one.name}`} onClick={() => (deleted.value = one)}>Delete</button>
            )}
          </Tile>
        ))}
      </div>
      {catalogue.length > 0 && <h2 class="section">Catalogue</h2>}
      <div class="grid">{catalogue.map((one) => <Tile key={one.id} kind={kind} one={one} />)}</div>
      {edited.value && (
        <Edit kind={kind} one={edited.value} onClose={() => (edited.value = null)} onSaved={() => { edited.value = null; reload(); }} />
      )}
      <Confirm item={deleted} title={`Delete a ${kind}`} path={(one) => `integration/${kind}/${one.id}`} onDone={reload}>
        {(one) => (
          <p>
            Delete <strong>{one.name}</strong>? Its devices stay, and its parser does not run for them any more
            {kind === "network" ? ". Its tokens end." : "."}
          </p>
        )}
      </Confirm>
    </>
  );
}

function Tile({ kind, one, children }: { kind: Kind; one: Integration; children?: preact.ComponentChildren }) {
  return (
    <article class="card tile">
      <h3>{one.name}</h3>
      {one.description && <p class="quiet">{one.description}</p>}
      <div class="buttons">
        <a class="button small" href={to("parser", kind, one.id)} aria-label={`Parser of ${one.name}`}>Parser</a>
        {children}
      </div>
    </article>
  );
}

function Edit(props: { kind: Kind; one: Partial<Integration>; onClose: () => void; onSaved: () => void }) {
  const { kind, one } = props;
  const isNew = one.id === undefined;
  const { value: known, error } = useLoad(async (signal) => {
    const networks = kind === "connector" ? await listOf("network", signal) : [];
    const full = isNew ? one : await get<Partial<Integration>>(`integration/${kind}/${one.id}`, {}, signal);
    return { networks, full };
  }, []);
  const save = async (values: Record<string, string>) => {
    const body: Record<string, unknown> = { name: values["name"], description: values["description"] || null };
    if (kind === "connector") {
      body["networks"] = known!.networks.filter(({ id }) => values[`network-${id}`] === "on").map(({ id }) => id);
      if ((body["networks"] as string[]).length === 0) throw new Error("Choose the networks that its devices can use.");
      body["install_text"] = values["install_text"] || null;
    } else {
      body["middleware_endpoint"] = values["middleware_endpoint"] || null;
      const rule = known!.full.serial_number;
      body["serial_number"] = { ...rule, mask: values["mask"] || null, required: values["required"] === "on" };
    }
    if (isNew) {
      const made = await post<Record<string, string>>(`integration/${kind}`, body);
      go("parser", kind, made[kind]!);
      return;
    }
    await put(`integration/${kind}/${one.id}`, body);
    props.onSaved();
  };
  return (
    <Dialog title={isNew ? `New ${kind}` : `Edit a ${kind}`} onClose={props.onClose}>
      <Problem error={error} />
      {known && (
        <Form send={isNew ? "Create, and write its parser" : "Save"} onSend={save}>
          <Input label="Name" name="name" required maxLength={255} defaultValue={known.full.name} autocomplete="off" />
          <Input label="Description" name="description" maxLength={500} defaultValue={known.full.description ?? ""} />
          {kind === "connector" ? (
            <>
              <fieldset class="choices">
                <legend>Networks</legend>
                {known.networks.map((network) => (
                  <label class="check" key={network.id}>
                    <input type="checkbox" name={`network-${network.id}`} defaultChecked={known.full.networks?.includes(network.id) ?? false} /> {network.name}
                  </label>
                ))}
              </fieldset>
              <Field label="How to install such a device" hint="Shown to those who connect one.">
                {(id) => <textarea id={id} name="install_text" maxLength={20_000} defaultValue={known.full.install_text ?? ""} />}
              </Field>
            </>
          ) : (
            <>
              <Input
                label="Mask of serial numbers" name="mask" maxLength={100} defaultValue={known.full.serial_number?.mask ?? ""} autocomplete="off"
                hint="F is a hex digit, A a letter, 0 a digit, P a letter or digit; such as FFFFFFFFFFFFFFFF. Empty: any text."
              />
              <label class="check">
                <input type="checkbox" name="required" defaultChecked={known.full.serial_number?.required ?? false} /> Each device needs a serial number
              </label>
              <Input
                label="Address of its middleware" name="middleware_endpoint" type="url" defaultValue={known.full.middleware_endpoint ?? ""}
                hint="What devices are sent is posted to /publish below it."
              />
            </>
          )}
        </Form>
      )}
    </Dialog>
  );
}

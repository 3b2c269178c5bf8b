/** Forms: a labelled field, and a form that shows what went wrong and cannot be sent twice. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import { Problem } from "./problem";

export function Field(props: { label: string; hint?: string; children: (id: string) => ComponentChildren }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.children(id)}
      {props.hint && <p class="quiet">{props.hint}</p>}
    </div>
  );
}

export function Input(props: { label: string; hint?: string } & JSX.IntrinsicElements["input"]) {
  const { label, hint, ...rest } = props;
  return (
    <Field label={label} hint={hint}>
      {(id) => <input {...rest} id={id} />}
    </Field>
  );
}

/** `onSend` gets the values of the named fields. Until it is done, the button is off. */
export function Form(props: {
  send: string;
  onSend: (values: Record<string, string>) => Promise<void>;
  isDanger?: boolean;
  children?: ComponentChildren;
}) {
  const isBusy = useSignal(false);
  const error = useSignal<Error | undefined>(undefined);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (isBusy.value) return;
    const values: Record<string, string> = {};
    for (const [name, value] of new FormData(event.target as HTMLFormElement)) values[name] = String(value);
    isBusy.value = true;
    error.value = undefined;
    try {
      await props.onSend(values);
    } catch (failure) {
      error.value = failure as Error;
    }
    isBusy.value = false;
  };
  return (
    <form method="dialog" onSubmit={submit}>
      {props.children}
      <Problem error={error.value} />
      <div class="buttons">
        <button type="submit" class={props.isDanger ? "danger" : "primary"} disabled={isBusy.value}>
          {props.send}
        </button>
      </div>
    </form>
  );
}

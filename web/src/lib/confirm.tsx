/** Asks before something is deleted, and deletes it. */
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { remove } from "./api";
import { Dialog } from "./dialog";
import { Form } from "./form";

/** It is open while `item` holds something. `path` is where that is deleted, and `onDone` is called afterwards. */
export function Confirm<T>(props: {
  item: Signal<T | null>;
  title: string;
  send?: string;
  path: (item: T) => string;
  onDone: () => void;
  children: (item: T) => ComponentChildren;
}) {
  const item = props.item.value;
  if (item === null) return null;
  const close = () => (props.item.value = null);
  const send = async () => {
    await remove(props.path(item));
    close();
    props.onDone();
  };
  return (
    <Dialog title={props.title} onClose={close}>
      {props.children(item)}
      <Form send={props.send ?? "Delete"} isDanger onSend={send} />
    </Dialog>
  );
}

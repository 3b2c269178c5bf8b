/** Asks before something is deleted. */
import type { ComponentChildren } from "preact";
import { Dialog } from "./dialog";
import { Form } from "./form";

export function Confirm(props: { title: string; send: string; onSend: () => Promise<void>; onClose: () => void; children: ComponentChildren }) {
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      {props.children}
      <Form send={props.send} isDanger onSend={props.onSend} />
    </Dialog>
  );
}

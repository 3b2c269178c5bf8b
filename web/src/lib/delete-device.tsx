/** Asks for a device's name before it is deleted with all its points. */
import { remove } from "./api";
import { Dialog } from "./dialog";
import { Form, Input } from "./form";

export function DeleteDevice(props: { device: { id: string; name: string }; onClose: () => void; onDeleted: () => void }) {
  const { id, name } = props.device;
  const send = async ({ typed = "" }: Record<string, string>) => {
    if (typed.trim() !== name.trim()) throw new Error("This is not the device's name. Nothing was deleted.");
    await remove(`device/${id}`);
    props.onDeleted();
  };
  return (
    <Dialog title="Delete a device" onClose={props.onClose}>
      <p>
        This deletes <strong>{name}</strong> with all its points, tokens and parameters. It cannot be undone.
      </p>
      <Form send="Delete for ever" isDanger onSend={send}>
        <Input label="Type the device's name" name="typed" required autocomplete="off" />
      </Form>
    </Dialog>
  );
}

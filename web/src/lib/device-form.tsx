/** The fields of a device that a person can set, in the forms that create and change one. */
import { Field, Input } from "./form";
import type { Device } from "./device";
import { parseTags, tagText } from "./tags";

export function DeviceFields({ device }: { device?: Device }) {
  return (
    <>
      <Input label="Name" name="name" required minLength={3} maxLength={100} defaultValue={device?.name} autofocus={!device} />
      <Field label="Tags" hint="One a line, such as site: roof. The list finds devices by them.">
        {(id) => <textarea id={id} name="tags" rows={2} defaultValue={device?.tags.map(tagText).join("\n")} />}
      </Field>
    </>
  );
}

/** Read the fields. Throws an Error that names a wrong line of the tags. */
export function deviceOf({ name = "", tags = "" }: Record<string, string>): { name: string; tags: { key: string; value: string }[] } {
  return { name: name.trim(), tags: parseTags(tags) };
}

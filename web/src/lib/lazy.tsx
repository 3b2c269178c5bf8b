/** Shows a component that is a chunk of its own, once it is loaded. */
import { useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { Problem } from "./problem";

/** Give it a `key` for each `load`, which it calls once. */
export function Lazy<Props extends object>(props: { load: () => Promise<{ default: ComponentType<Props> }>; with: Props }) {
  const loaded = useSignal<{ View: ComponentType<Props> } | undefined>(undefined);
  const error = useSignal<Error | undefined>(undefined);
  const load = () => {
    let isCurrent = true;
    error.value = undefined;
    props.load().then(
      (module) => {
        if (isCurrent) loaded.value = { View: module.default };
      },
      () => {
        if (isCurrent) error.value = new Error("This page could not be loaded. Check the connection, then load the console again.");
      },
    );
    return () => {
      isCurrent = false;
    };
  };
  useEffect(load, []);
  if (!loaded.value) return <Problem error={error.value} retry={load} />;
  const { View } = loaded.value;
  return <View {...props.with} />;
}

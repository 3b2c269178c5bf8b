/** A button that copies a text and says so. */
import { useSignal } from "@preact/signals";

/** `what` completes the name "Copy …". */
export function Copy({ text, what }: { text: string; what: string }) {
  const state = useSignal("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      state.value = "Copied";
    } catch {
      state.value = "Select it and copy by hand"; // the clipboard needs https or this machine
    }
    setTimeout(() => (state.value = ""), 2_500);
  };
  return (
    <button type="button" class="small" aria-label={state.value || `Copy ${what}`} onClick={copy}>
      <span aria-live="polite">{state.value || "Copy"}</span>
    </button>
  );
}

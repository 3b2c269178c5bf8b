/** Loading what a view shows. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

export interface Loaded<T> {
  value: T | undefined;
  error: Error | undefined;
  isLoading: boolean;
  reload: () => void;
}

/** Load again whenever a key changes. What an earlier load brings later is dropped. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, keys: unknown[]): Loaded<T> {
  const state = useSignal<{ value?: T; error?: Error; isLoading: boolean }>({ isLoading: true });
  const round = useSignal(0);
  useEffect(() => {
    const abort = new AbortController();
    state.value = { ...state.peek(), isLoading: true };
    load(abort.signal).then(
      (value) => {
        if (!abort.signal.aborted) state.value = { value, isLoading: false };
      },
      (error: Error) => {
        if (!abort.signal.aborted) state.value = { ...state.peek(), error, isLoading: false };
      },
    );
    return () => abort.abort();
  }, [...keys, round.value]);
  const { value, error, isLoading } = state.value;
  return { value, error, isLoading, reload: () => (round.value += 1) };
}

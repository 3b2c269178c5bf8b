/** The programs of snippets.ts, one at a time. */
import { useSignal } from "@preact/signals";
import { get, root } from "./api";
import { Copy } from "./copy";
import { useLoad } from "./load";
import { snippetsOf } from "./snippets";

export function Snippets({ token }: { token: string }) {
  const chosen = useSignal(0);
  const status = useLoad((signal) => get<{ store: string }>("status", {}, signal), []);
  const snippets = snippetsOf({ url: root.href.replace(/\/$/, ""), store: status.value?.store ?? "", token });
  const { name, note, text } = snippets[chosen.value]!;
  return (
    <section aria-label="Programs that send a point">
      <div class="tabs">
        {snippets.map((snippet, index) => (
          <button type="button" key={snippet.name} aria-pressed={index === chosen.value} onClick={() => (chosen.value = index)}>
            {snippet.name}
          </button>
        ))}
      </div>
      <div class="bar">
        <span class="quiet">{note}</span>
        <span class="push"><Copy text={text} what={`the program for ${name}`} /></span>
      </div>
      <pre tabIndex={0}><code>{text}</code></pre>
    </section>
  );
}

/** What happens inside: requests that were refused or ignored in part, and what parsers wrote. */
import { useSignal } from "@preact/signals";
import type { TabProps } from "../device";
import { MAX_ENTRIES } from "../../lib/feed";
import { timeText } from "../../lib/units";

export default function Inspector({ feed }: TabProps) {
  const filter = useSignal("");
  if (feed.state.value === "polling") {
    return <p class="empty">This server has no stream of events, so there is no inspector. The log of the function shows the same.</p>;
  }
  const entries = feed.entries.value.filter(({ title, content }) => `${title} ${content}`.toLowerCase().includes(filter.value.toLowerCase()));
  return (
    <>
      <div class="bar filters">
        <input type="search" class="search" aria-label="Filter" placeholder="Filter" value={filter.value} onInput={(event) => (filter.value = event.currentTarget.value)} />
        <button type="button" disabled={feed.entries.value.length === 0} onClick={() => (feed.entries.value = [])}>Clear</button>
      </div>
      {feed.entries.value.length === 0 && (
        <div class="empty">
          <p>Nothing yet. This page shows what the device does while it is open.</p>
          <p>It tells what a parser wrote or got wrong, and which fields of a request nothing reads. Let the device send now.</p>
        </div>
      )}
      {feed.entries.value.length === MAX_ENTRIES && <p class="quiet">The newest {MAX_ENTRIES} entries.</p>}
      <ol class="log" aria-label="Entries">
        {entries.map((entry) => (
          <li key={entry.connection_id} class="card">
            <p><strong>{entry.title}</strong> <time class="quiet" dateTime={entry.timestamp}>{timeText(entry.timestamp)}</time></p>
            <pre tabIndex={0}>{entry.content}</pre>
          </li>
        ))}
      </ol>
    </>
  );
}

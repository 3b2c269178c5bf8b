/** The audit log: who changed what, when, and from which address. */
import { useSignal } from "@preact/signals";
import { get } from "../lib/api";
import { useLoad } from "../lib/load";
import { Problem } from "../lib/problem";
import { session } from "../lib/session";
import { timeText } from "../lib/units";

interface Event {
  resourceName: string;
  message: string;
  resourceID: string;
  who: string;
  address: string;
  date: string;
}
interface Answer {
  status: string;
  events: Event[];
}

const RESOURCES: Record<string, string> = {
  "": "Everything", device: "Devices", connector: "Connectors", network: "Networks", am: "Access policies", profile: "Profile", account: "Account",
  analysis: "Analyses", action: "Actions", runuser: "Run users",
};
const LIMIT = 100;
const WEEK_MS = 7 * 86_400_000;

/** The week that ends with a day, or now. A query of the API spans at most a week. */
function weekUntil(day: string): { start_date: string; end_date: string } {
  const end = day ? Math.min(Date.now(), new Date(`${day}T23:59:59.999`).getTime()) : Date.now();
  return { start_date: new Date(end - WEEK_MS).toISOString(), end_date: new Date(end).toISOString() };
}

export default function Audit() {
  const day = useSignal("");
  const resource = useSignal("");
  const find = useSignal("");
  const limit = useSignal(LIMIT);
  const { value, error, isLoading, reload } = useLoad(async (signal) => {
    const range = weekUntil(day.value);
    const query = { ...range, limit: limit.value, ...(resource.value && { resourceName: resource.value }), ...(find.value && { find: find.value }) };
    return { range, ...(await get<Answer>(`profile/${session.value!.profile}/auditlog`, query, signal)) };
  }, [day.value, resource.value, find.value, limit.value]);
  const isFiltered = Boolean(resource.value || find.value);
  return (
    <>
      <h1>Audit log</h1>
      <form class="bar filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <label>The week until <input class="short" type="date" value={day.value} onChange={(event) => (day.value = event.currentTarget.value)} /></label>
        <select aria-label="What was changed" value={resource.value} onChange={(event) => (resource.value = event.currentTarget.value)}>
          {Object.entries(RESOURCES).map(([name, text]) => <option key={name} value={name}>{text}</option>)}
        </select>
        <input class="search" type="search" aria-label="Find" placeholder="Find a person, id, address or deed" maxLength={100} value={find.value} onChange={(event) => (find.value = event.currentTarget.value)} />
        <button type="button" onClick={reload}>Refresh</button>
      </form>
      <Problem error={error} retry={reload} />
      {value && (
        <p class="quiet">
          {timeText(value.range.start_date)} to {timeText(value.range.end_date)}. Events are kept for half a year.
          {value.status === "Timeout" && " The week holds more events than were searched: choose an earlier end."}
        </p>
      )}
      {value?.events.length === 0 && (
        <p class="empty card">{isFiltered ? "No change of this week matches. Choose less, or another week." : "Nothing was changed in this week. Choose an earlier one."}</p>
      )}
      {value && value.events.length > 0 && (
        <div class="scroll card" tabIndex={0} role="region" aria-label="Events">
          <table class="stacked">
            <thead><tr><th>When</th><th>What</th><th>Of</th><th>Who</th><th>Address</th></tr></thead>
            <tbody>
              {value.events.map((event, index) => (
                <tr key={index}>
                  <td>{timeText(event.date)}</td>
                  <td>{event.message}</td>
                  <td>{RESOURCES[event.resourceName] ?? event.resourceName} <span class="mono quiet">{event.resourceID}</span></td>
                  <td>{event.who}</td>
                  <td class="mono">{event.address}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {value?.events.length === limit.value && limit.value < 1_000 && (
        <button type="button" disabled={isLoading} onClick={() => (limit.value = Math.min(1_000, limit.value * 4))}>Show more</button>
      )}
      {value?.events.length === 1_000 && <p class="quiet">These are the newest 1,000 of the week. Choose an earlier end, or find something.</p>}
    </>
  );
}

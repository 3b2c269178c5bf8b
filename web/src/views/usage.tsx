/** What the profile has used in this month, of what its plan allows, and what it has. */
import { get } from "../lib/api";
import { useLoad } from "../lib/load";
import { Problem } from "../lib/problem";
import { session } from "../lib/session";
import { type Day, daysOf, type Quota, quotasOf, UNLIMITED, type Statistic, type Summary } from "../lib/usage";
import { timeZone } from "../lib/units";
import "../admin.css";

interface Plan {
  plan: string;
  requests_per_minute: number;
  requests_per_month: number;
}

const AMOUNTS: Record<string, string> = {
  device: "Devices", connectors: "Connectors", networks: "Networks", analysis: "Analyses", action: "Actions", am: "Access policies", run_users: "Run users",
};

export default function Usage() {
  const profile = session.value!.profile;
  const { value, error, reload } = useLoad(async (signal) => {
    const query = { periodicity: "day", start_date: monthStart(), end_date: new Date().toISOString(), timezone: "UTC" };
    const [summary, plan, statistics] = await Promise.all([
      get<Summary>(`profile/${profile}/summary`, {}, signal),
      get<Plan>("account/plan", {}, signal),
      get<Statistic[]>(`profile/${profile}/statistics`, query, signal),
    ]);
    return { summary, plan, days: daysOf(statistics) };
  }, []);
  const month = new Date().toLocaleDateString(undefined, { month: "long", year: "numeric", timeZone: "UTC" });
  return (
    <>
      <div class="bar">
        <h1>Usage</h1>
        <button type="button" class="push" onClick={reload}>Refresh</button>
      </div>
      <Problem error={error} retry={reload} />
      {value && (
        <>
          <section class="card" aria-label="This month">
            <h2>{month}</h2>
            {quotasOf(value.summary).map((quota) => <Bar key={quota.name} quota={quota} />)}
            <p class="quiet">A month begins at midnight UTC; here that is {new Date(monthStart()).toLocaleTimeString(undefined, { timeStyle: "short" })} ({timeZone()}).</p>
          </section>
          <section class="card" aria-label="By day">
            <h2>Points that came in, by day</h2>
            {value.days.some(({ input }) => input > 0) ? <Days days={value.days} /> : <p class="empty">No point came in this month. Send one, or import a file on the page of a device.</p>}
          </section>
          <div class="columns">
            <section class="card" aria-label="Plan and limits">
              <h2>Plan and limits</h2>
              <dl>
                <dt>Plan</dt><dd>{value.plan.plan}</dd>
                <dt>Requests a minute</dt><dd>{limitText(value.plan.requests_per_minute)}</dd>
                <dt>Requests a month</dt><dd>{limitText(value.plan.requests_per_month)}</dd>
              </dl>
              <p class="quiet">Routes that store or read points have limits of their own. Answers say in <code>X-RateLimit-Remaining</code> what is left.</p>
            </section>
            <section class="card" aria-label="What there is">
              <h2>What there is</h2>
              <dl>
                {Object.entries(AMOUNTS).flatMap(([name, text]) => [<dt key={name}>{text}</dt>, <dd key={`${name}-n`}>{(value.summary.amount[name] ?? 0).toLocaleString()}</dd>])}
              </dl>
            </section>
          </div>
        </>
      )}
    </>
  );
}

function monthStart(): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1)).toISOString();
}

const limitText = (limit: number): string => (limit >= UNLIMITED ? "no limit" : limit.toLocaleString());

function Bar({ quota }: { quota: Quota }) {
  const { title, used, limit, part, announced } = quota;
  const kind = part === undefined ? "" : part >= 1 ? "over" : part >= 0.8 ? "warn" : "";
  return (
    <div class="quota">
      <div class="head">
        <strong>{title}</strong>
        <span>{used.toLocaleString()}{part === undefined ? ", no limit" : ` of ${limit.toLocaleString()} (${percent(part)})`}</span>
      </div>
      {part !== undefined && (
        <div class="track" role="meter" aria-label={title} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.min(100, Math.round(part * 100))} aria-valuetext={percent(part)}>
          <svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect class={kind} width={Math.min(100, part * 100)} height="1" /></svg>
        </div>
      )}
      {part !== undefined && part >= 1 && <p class="problem">The quota is used up: requests that need it are refused with 402{quota.isMonthly && " until the month ends"}.</p>}
      {announced > 0 && (part ?? 0) < 1 && <p class="quiet">An alert was sent at {announced} %.</p>}
    </div>
  );
}

const percent = (part: number): string => part.toLocaleString(undefined, { style: "percent", maximumFractionDigits: part < 0.1 ? 1 : 0 });

const HEIGHT = 100;
function Days({ days }: { days: Day[] }) {
  const most = Math.max(...days.map(({ input }) => input), 1);
  const peak = days.reduce((best, day) => (day.input > best.input ? day : best));
  return (
    <figure>
      <svg class="days" viewBox={`0 0 ${days.length * 10} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`Points that came in on each of ${days.length} days`}>
        <line x1="0" x2={days.length * 10} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
        {days.map(({ day, input }, index) => {
          const height = (input / most) * (HEIGHT - 4);
          return <rect key={day} x={index * 10 + 1} width="8" y={HEIGHT - height} height={height}><title>{`${day}: ${input.toLocaleString()}`}</title></rect>;
        })}
      </svg>
      <figcaption class="quiet">From {days[0]!.day} to {days.at(-1)!.day}. Most: {peak.input.toLocaleString()} on {peak.day}.</figcaption>
    </figure>
  );
}

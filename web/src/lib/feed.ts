/**
 * What a device does, as it happens: its points and what the inspector shows.
 *
 * It reads the stream of events, and polls where there is none. There is one connection, and none while the tab is
 * hidden. After each break it reads the points since the last one, so consumers merge what they get by id.
 */
import { signal } from "@preact/signals";
import { ApiError, get, request } from "./api";
import { newestTime, type Point } from "./points";
import { pollDelayMs, readEvents, retryDelayMs } from "./stream";

export interface Entry {
  connection_id: string;
  title: string;
  content: string;
  timestamp: string;
}
export type FeedState = "connecting" | "live" | "polling" | "offline";

const SILENCE_MS = 15_000;
/** How far before its start a feed looks for points, which may be under way while a view loads. */
const OVERLAP_MS = 60_000;
export const READ_QTY = 10_000;
export const MAX_ENTRIES = 500;

export class Feed {
  readonly state = signal<FeedState>("connecting");
  /** Why the server refuses to say what is new; undefined: it does not. */
  readonly error = signal<Error | undefined>(undefined);
  /** Grows when more points may have arrived than were read: consumers load again. */
  readonly gaps = signal(0);
  /** The inspector's entries, the newest first. */
  readonly entries = signal<Entry[]>([]);
  private readonly hearers = new Set<(points: Point[]) => void>();
  private since: string;
  private running: AbortController | undefined;
  private wake = () => {};

  constructor(private readonly device: string) {
    this.since = new Date(Date.now() - OVERLAP_MS).toISOString();
  }

  /** Start, and return what stops it. */
  start(): () => void {
    const visible = () => {
      if (document.hidden) this.running?.abort();
      else this.run();
    };
    const online = () => this.wake();
    document.addEventListener("visibilitychange", visible);
    addEventListener("online", online);
    visible();
    return () => {
      document.removeEventListener("visibilitychange", visible);
      removeEventListener("online", online);
      this.running?.abort();
    };
  }

  /** Call a function with all points that arrive. Return what ends that. */
  hear(hearer: (points: Point[]) => void): () => void {
    this.hearers.add(hearer);
    return () => this.hearers.delete(hearer);
  }

  /** Read at once what is new, as after sending a point. With a stream it comes by itself. */
  poke(): void {
    if (this.state.value !== "live") this.wake();
  }

  private run(): void {
    this.running?.abort();
    const abort = new AbortController();
    this.running = abort;
    void this.follow(abort.signal);
  }

  private async follow(ended: AbortSignal): Promise<void> {
    let failures = 0;
    while (!ended.aborted) {
      try {
        await this.stream(ended, () => (failures = 0));
        await this.rest(undefined, failures++, ended);
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return this.poll(ended);
        await this.rest(error, failures++, ended);
      }
    }
  }

  private async stream(ended: AbortSignal, succeeded: () => void): Promise<void> {
    const channels = `device_data.${this.device},device_inspector.${this.device}`;
    const { body } = await request("GET", "events", { query: { channels }, signal: ended });
    try {
      await this.catchUp(ended);
    } catch (error) {
      void body!.cancel();
      throw error;
    }
    succeeded();
    this.error.value = undefined;
    this.state.value = "live";
    await readEvents(body!, (data) => this.take(data), SILENCE_MS, ended);
  }

  /** Say what went wrong, and wait until it may be tried again. */
  private async rest(error: unknown, failures: number, ended: AbortSignal): Promise<void> {
    if (ended.aborted) return;
    const { status = 0, retryAfterS = 0 } = error instanceof ApiError ? error : {};
    this.state.value = "offline";
    this.error.value = status ? (error as ApiError) : undefined;
    await this.wait(Math.max(retryAfterS * 1_000, retryDelayMs(failures)), ended);
  }

  private take(data: string): void {
    const { channel, payload } = JSON.parse(data) as { channel: string; payload: Point[] | Entry | Entry[] };
    if (channel.startsWith("device_data.")) this.tell(payload as Point[]);
    else this.entries.value = [...([payload].flat() as Entry[]).reverse(), ...this.entries.value].slice(0, MAX_ENTRIES);
  }

  private async poll(ended: AbortSignal): Promise<void> {
    let empty = 0;
    let failures = 0;
    while (!ended.aborted) {
      try {
        empty = (await this.catchUp(ended)) ? 0 : empty + 1;
        failures = 0;
        this.error.value = undefined;
        this.state.value = "polling";
        await this.wait(pollDelayMs(empty), ended);
      } catch (error) {
        await this.rest(error, failures++, ended);
      }
    }
  }

  /** Read the points since the last one. Return whether any was new. */
  private async catchUp(ended: AbortSignal): Promise<boolean> {
    const query = { start_date: this.since, qty: READ_QTY };
    const points = await get<Point[]>(`device/${this.device}/data`, query, ended);
    const before = this.since;
    this.tell(points);
    if (points.length >= READ_QTY) this.gaps.value += 1;
    return this.since > before;
  }

  private tell(points: Point[]): void {
    const now = new Date(Date.now() + OVERLAP_MS).toISOString(); // a clock that is wrong must not hide later points
    this.since = newestTime(points.filter((point) => point.time < now), this.since);
    if (points.length > 0) for (const hearer of this.hearers) hearer(points);
  }

  private wait(ms: number, ended: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      ended.addEventListener("abort", this.wake, { once: true });
    });
  }
}

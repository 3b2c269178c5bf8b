/** Reads a stream of server-sent events. Pure but for the time-out. Source: HTML, "Server-sent events". */

/** Cuts the text of a stream into the data of its events, whatever the pieces it comes in. */
export class EventParser {
  private rest = "";
  private data: string[] = [];

  /** Take a piece of text; return the data of the events that it completes. */
  push(text: string): string[] {
    const lines = (this.rest + text).split(/\r\n|\n|\r(?=[^\n])/);
    this.rest = lines.pop()!;
    const events: string[] = [];
    for (const line of lines) {
      if (line.startsWith("data:")) this.data.push(line.slice(line[5] === " " ? 6 : 5));
      if (line !== "" || this.data.length === 0) continue;
      events.push(this.data.join("\n"));
      this.data = [];
    }
    return events;
  }
}

/** Read a stream until it ends, is silent for longer than `silenceMs`, or is aborted. */
export async function readEvents(
  body: ReadableStream<Uint8Array>,
  onEvent: (data: string) => void,
  silenceMs: number,
  signal: AbortSignal,
): Promise<void> {
  const reader = body.getReader();
  const parser = new EventParser();
  const decoder = new TextDecoder();
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel);
  let watchdog = setTimeout(cancel, silenceMs);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(cancel, silenceMs);
      for (const data of parser.push(decoder.decode(value, { stream: true }))) onEvent(data);
    }
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", cancel);
  }
}

/** Return how long to wait before the next poll, after so many polls in a row that brought nothing. */
export function pollDelayMs(emptyPolls: number): number {
  if (emptyPolls < 6) return 5_000;
  return emptyPolls < 18 ? 15_000 : 30_000;
}

/** Return how long to wait before the stream is opened again, after so many tries that failed. */
export function retryDelayMs(failures: number): number {
  return Math.min(1_000 * 2 ** failures, 15_000);
}

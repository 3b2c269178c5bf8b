import { describe, expect, it, vi } from "vitest";
import { EventParser, pollDelayMs, readEvents, retryDelayMs } from "./stream";

describe("EventParser", () => {
  const text = 'data: {"a":1}\n\n:\n\ndata: first\ndata:second\r\n\r\nevent: x\nid: 7\ndata: {"b":"ü\\n"}\n\ndata: cut';
  const events = ['{"a":1}', "first\nsecond", '{"b":"ü\\n"}'];

  it("finds the data of events, and drops comments and an event that has no end", () => {
    expect(new EventParser().push(text)).toEqual(events);
  });

  it("finds the same wherever the text is cut", () => {
    for (let at = 0; at <= text.length; at++) {
      const parser = new EventParser();
      expect([...parser.push(text.slice(0, at)), ...parser.push(text.slice(at))]).toEqual(events);
    }
    const parser = new EventParser();
    expect([...text].flatMap((character) => parser.push(character))).toEqual(events);
  });
});

describe("readEvents", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  it("decodes a character that two pieces share", async () => {
    const whole = bytes("data: °C\n\n");
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of whole) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const heard: string[] = [];
    await readEvents(body, (data) => heard.push(data), 1_000, new AbortController().signal);
    expect(heard).toEqual(["°C"]);
  });

  it("ends and cancels a stream that is silent for too long, but not one that pings", async () => {
    vi.useFakeTimers();
    let source!: ReadableStreamDefaultController<Uint8Array>;
    let isCancelled = false;
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (source = controller), cancel: () => void (isCancelled = true) });
    const reading = readEvents(body, () => {}, 15_000, new AbortController().signal);
    for (let ping = 0; ping < 4; ping++) {
      await vi.advanceTimersByTimeAsync(14_000);
      source.enqueue(bytes(":\n\n"));
    }
    expect(isCancelled).toBe(false);
    await vi.advanceTimersByTimeAsync(15_001);
    await reading;
    expect(isCancelled).toBe(true);
    vi.useRealTimers();
  });

  it("ends when it is aborted", async () => {
    const abort = new AbortController();
    const reading = readEvents(new ReadableStream<Uint8Array>(), () => {}, 15_000, abort.signal);
    abort.abort();
    await reading;
  });
});

it("polls less often while nothing is new", () => {
  expect([0, 5, 6, 17, 18, 1_000].map(pollDelayMs)).toEqual([5_000, 5_000, 15_000, 15_000, 30_000, 30_000]);
});

it("waits longer after each failure, up to a bound", () => {
  expect([0, 1, 2, 3, 4, 50].map(retryDelayMs)).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
});

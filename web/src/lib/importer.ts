/**
 * Imports a CSV file: in pieces, in batches, and so that it can be resumed. Pure but for what it is given.
 *
 * Equal files with equal mappings make equal batches, and each batch has an Idempotency-Key of the file's digest and
 * its number. So a batch that is sent again, as its answer was lost, is stored once.
 */
import { ApiError } from "./api";
import { CsvError, plainRow, pointJson, Reader, type Row } from "./csv";
import { Digest } from "./digest";
import { type Mapping, pointsOf } from "./mapping";

export const MAX_POINTS = 1_000;
export const MAX_BYTES = 180_000;
/** How often a batch that got no answer is sent, until the import stops. It can be resumed then. */
const TRIES = 6;
const MAX_WAIT_S = 60;
const FIRST_ERRORS = 20;

export interface Batch {
  /** From 1 on. */
  number: number;
  items: { line: number; json: string }[];
}

export interface Progress {
  /** What of the file has been read, from 0 to 1. */
  part: number;
  /** How many batches are stored. */
  batches: number;
  /** How many points the server has stored, those of an earlier session included. */
  added: number;
  /** How many lines could not be imported. */
  failed: number;
  /** Seconds for which the server has asked to wait; 0: none. */
  waitS: number;
}

/** What is kept of an import that has begun, so that it can be resumed. */
export interface Saved {
  digest: string;
  name: string;
  mapping: Mapping;
  batches: number;
  added: number;
  part: number;
  /** Lines that the server has refused. Those that cannot be read are found again. */
  refused: { line: number; problem: string }[];
}

/** Return a digest of the file and of how it is read. `onPart` hears what part has been read. */
export async function digestOf(file: Blob, mapping: Mapping, onPart: (part: number) => void = () => {}): Promise<string> {
  const digest = new Digest();
  let done = 0;
  for await (const bytes of pieces(file)) {
    digest.update(bytes);
    onPart((done += bytes.length) / file.size);
  }
  return digest.update(new TextEncoder().encode(JSON.stringify(mapping))).hex();
}

async function* pieces(file: Blob): AsyncGenerator<Uint8Array> {
  const reader = file.stream().getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}

/** Yield the rows of a file, with how many bytes were read. Throws a CsvError. */
export async function* rowsOf(file: Blob, delimiter: string): AsyncGenerator<{ rows: Row[]; bytes: number }> {
  const reader = new Reader(delimiter);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const decode = (bytes?: Uint8Array) => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch {
      throw new CsvError("The file is not UTF-8. Save it as CSV UTF-8");
    }
  };
  let done = 0;
  for await (const bytes of pieces(file)) {
    done += bytes.length;
    yield { rows: reader.push(decode(bytes)), bytes: done };
  }
  yield { rows: [...reader.push(decode()), ...reader.end()], bytes: done };
}

/** Return the first rows of a file. Throws a CsvError. */
export async function firstRows(file: Blob, delimiter: string, count: number): Promise<Row[]> {
  const found: Row[] = [];
  for await (const { rows } of rowsOf(file, delimiter)) {
    found.push(...rows);
    if (found.length >= count) break;
  }
  return found.slice(0, count);
}

/** Gathers points into batches by count and size. */
export class Batcher {
  #items: Batch["items"] = [];
  #bytes = 2;
  #number = 0;

  /** Add a point, and return the batch that was full without it. */
  add(line: number, json: string): Batch | undefined {
    const bytes = new TextEncoder().encode(json).length + 1;
    const full = this.#items.length === MAX_POINTS || (this.#items.length > 0 && this.#bytes + bytes > MAX_BYTES) ? this.end() : undefined;
    this.#items.push({ line, json });
    this.#bytes += bytes;
    return full;
  }

  /** Return what is left; undefined if nothing is. */
  end(): Batch | undefined {
    if (this.#items.length === 0) return undefined;
    const batch = { number: (this.#number += 1), items: this.#items };
    this.#items = [];
    this.#bytes = 2;
    return batch;
  }
}

export interface Job {
  file: Blob;
  saved: Saved;
  /** Send a body under a key; return how many points were stored. Throws an ApiError. */
  send: (body: string, key: string) => Promise<number>;
  /** Keep how far the import is. */
  save: (saved: Saved) => void;
  onProgress: (progress: Progress) => void;
  sleep: (seconds: number, signal: AbortSignal) => Promise<void>;
  signal: AbortSignal;
}

export interface Report {
  added: number;
  failed: number;
  /** The lines that could not be imported, as pieces of a CSV text without its header. */
  errors: string[];
  /** The first of them. */
  first: { line: number; problem: string }[];
}

/**
 * Import the file from where `saved` says, until its end. A line that is no point, or that the server refuses, is noted
 * and left out. Throws what stops the import: an ApiError, a CsvError, or the signal's reason. It can be resumed then.
 */
export async function run(job: Job): Promise<Report> {
  const { file, saved, signal } = job;
  const batcher = new Batcher();
  const report: Report = { added: saved.added, failed: 0, errors: [], first: [] };
  const refused = [...saved.refused];
  const note = (line: number, problem: string) => {
    report.failed += 1;
    report.errors.push(plainRow([String(line), problem]));
    if (report.first.length < FIRST_ERRORS) report.first.push({ line, problem });
  };
  for (const { line, problem } of refused) note(line, problem);
  let batches = saved.batches;
  let part = 0;
  const tell = (waitS = 0) => job.onProgress({ part, batches, added: report.added, failed: report.failed, waitS });
  const put = async (batch: Batch | undefined) => {
    if (!batch || batch.number <= saved.batches) return;
    report.added += await sendBatch(batch, `${saved.digest}-${batch.number}`, job, tell, (line, problem) => {
      refused.push({ line, problem });
      note(line, problem);
    });
    batches = batch.number;
    job.save({ ...saved, batches, added: report.added, part, refused });
    tell();
  };
  let isHeader = true;
  for await (const { rows, bytes } of rowsOf(file, saved.mapping.delimiter)) {
    part = file.size ? bytes / file.size : 1;
    for (const { line, cells } of rows) {
      if (isHeader) {
        isHeader = false;
        continue;
      }
      for (const { point, problem } of pointsOf(cells, saved.mapping)) {
        if (point) await put(batcher.add(line, pointJson(point)));
        else note(line, problem);
      }
    }
    signal.throwIfAborted();
    tell();
  }
  await put(batcher.end());
  return report;
}

/** Send a batch until the server has it. A point that it refuses is left out. Returns how many points were stored. */
async function sendBatch(batch: Batch, key: string, job: Job, tell: (waitS?: number) => void, refuse: (line: number, problem: string) => void): Promise<number> {
  const items = [...batch.items];
  let tries = 0;
  while (items.length > 0) {
    job.signal.throwIfAborted();
    try {
      return await job.send(`[${items.map((item) => item.json).join(",")}]`, key);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const index = refusedItem(error, items.length);
      if (index !== undefined) {
        refuse(items[index]!.line, error.fieldErrors[String(index)]!.join("; "));
        items.splice(index, 1);
        continue;
      }
      const isLate = error.status === 429;
      tries += isLate ? 0 : 1;
      if (!isLate && (tries >= TRIES || ![0, 502, 503, 504].includes(error.status))) throw error;
      const waitS = Math.min(MAX_WAIT_S, error.retryAfterS || 2 ** Math.min(tries, 5));
      tell(waitS);
      await job.sleep(waitS, job.signal);
    }
  }
  return 0;
}

/** Return which item the server refuses; undefined if the refusal names none. */
function refusedItem(error: ApiError, count: number): number | undefined {
  if (error.status !== 400) return undefined;
  const index = Object.keys(error.fieldErrors).map(Number).find((name) => Number.isInteger(name) && name >= 0 && name < count);
  return index;
}

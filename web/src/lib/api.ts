/** The one way to the API. Every answer has an envelope; a failure becomes an ApiError. */

/** The address of the API, with a slash at the end. The console is at `<root>console`, whatever path the root has. */
export const root = new URL(".", document.baseURI);

export class ApiError extends Error {
  constructor(
    message: string,
    /** The HTTP status; 0: there was no answer. */
    readonly status: number,
    readonly requestId = "",
    readonly fieldErrors: Record<string, string[]> = {},
    /** Seconds to wait before another try; 0: not said. */
    readonly retryAfterS = 0,
  ) {
    super(message);
  }
}

export type Query = Record<string, string | number | boolean | string[] | undefined>;
export interface Options {
  query?: Query;
  body?: unknown;
  /** Another token than that of the session; "": none. */
  token?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

let sessionToken = "";
let onDenied: (error: ApiError) => void = () => {};

/** Use this token for all requests that name none. `denied` hears of every 401 that such a request gets. */
export function useToken(token: string, denied: (error: ApiError) => void = () => {}): void {
  sessionToken = token;
  onDenied = denied;
}

export function address(path: string, query: Query = {}): string {
  const url = new URL(path.replace(/^\//, ""), root);
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) url.searchParams.append(name, String(one));
  }
  return url.href;
}

/** Send a request and return the response, if its status is below 400. */
export async function request(method: string, path: string, options: Options = {}): Promise<Response> {
  const token = options.token ?? sessionToken;
  const headers: Record<string, string> = { ...options.headers };
  if (token) headers["Token"] = token;
  if (options.body !== undefined) headers["Content-Type"] ??= "application/json";
  const body = options.body === undefined || typeof options.body === "string" ? options.body : JSON.stringify(options.body);
  let response: Response;
  try {
    response = await fetch(address(path, options.query), { method, headers, body, signal: options.signal, cache: "no-store" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError("The server does not answer. Check the connection.", 0);
  }
  if (response.status < 400) return response;
  const failure = await failureOf(response);
  if (failure.status === 401 && options.token === undefined) onDenied(failure);
  throw failure;
}

/** Send a request and return the result in its envelope. */
export async function call<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const response = await request(method, path, options);
  return ((await response.json()) as { result: T }).result;
}

async function failureOf(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("X-Request-Id") ?? "";
  const retryAfterS = Number(response.headers.get("Retry-After")) || 0;
  try {
    const answer = (await response.json()) as { message?: unknown; field_errors?: Record<string, string[]> };
    const message = typeof answer.message === "string" ? answer.message : `The server answered ${response.status}`;
    return new ApiError(message, response.status, requestId, answer.field_errors, retryAfterS);
  } catch {
    return new ApiError(`The server answered ${response.status}`, response.status, requestId, {}, retryAfterS);
  }
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal) => call<T>("GET", path, { query, signal });
export const post = <T>(path: string, body?: unknown) => call<T>("POST", path, { body });
export const put = <T>(path: string, body?: unknown) => call<T>("PUT", path, { body });
export const remove = <T>(path: string, body?: unknown) => call<T>("DELETE", path, { body });

/** Devices, their tokens and parameters, as the API returns them. */
import { get, post } from "./api";
import type { Tag } from "./tags";

export interface Listed {
  id: string;
  name: string;
  tags: Tag[];
  active: boolean;
  type: "mutable" | "immutable";
  last_input: string | null;
}

export interface Device extends Listed {
  description: string | null;
  connector: string;
  network: string;
  chunk_period: string | null;
  chunk_retention: number | null;
  data_retention: string;
  created_at: string;
}

export interface Token {
  name: string;
  /** null: the session's token has less permission, so it may not see the text. */
  token: string | null;
  permission: string;
  serie_number: string | null;
  expire_time: string | null;
  last_authorization: string | null;
}

export interface Param {
  id: string;
  key: string;
  value: string;
  sent: boolean;
}

const PAGE = 10_000;

const byName = new Intl.Collator(undefined, { numeric: true });

/** List all devices of the profile in the order of their names, Door 2 before Door 10. Cost: a request for each 10,000. */
export async function listDevices(signal: AbortSignal): Promise<Listed[]> {
  const devices: Listed[] = [];
  const fields = ["id", "name", "tags", "active", "type", "last_input"];
  for (let page = 1; ; page++) {
    const more = await get<Listed[]>("device", { page, amount: PAGE, fields, orderBy: "name,asc" }, signal);
    devices.push(...more);
    if (more.length < PAGE) return devices.sort((a, b) => byName.compare(a.name, b.name));
  }
}

export function listTokens(device: string, signal?: AbortSignal): Promise<Token[]> {
  const fields = ["name", "token", "permission", "serie_number", "expire_time", "last_authorization"];
  return get<Token[]>(`device/token/${device}`, { amount: 1_000, fields }, signal);
}

export async function createToken(device: string, name: string, permission: string): Promise<string> {
  return (await post<{ token: string }>("device/token", { device, name, permission })).token;
}

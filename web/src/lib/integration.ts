/** Connectors and networks, and whatever else has a parser. */
import { get } from "./api";

export type Kind = "connector" | "network";
export interface Integration {
  id: string;
  name: string;
  description: string | null;
  /** Whether it is one of the catalogue, which nobody can change. */
  public: boolean;
  networks?: string[];
  install_text?: string | null;
  middleware_endpoint?: string | null;
  serial_number?: { mask?: string | null; required?: boolean } | null;
  payload_decoder?: string | null;
}

export const KINDS: Record<Kind, { about: string }> = {
  connector: { about: "What devices of one kind send, and the parser that makes points of it." },
  network: { about: "How devices reach Decant. Its parser runs before that of the connector." },
};

/** Ids of the catalogue begin with these zeros. A network of one's own may say `public` of itself. */
const CATALOGUE = /^0{20}/;

export async function listOf(kind: Kind, signal?: AbortSignal): Promise<Integration[]> {
  const fields = ["id", "name", "description", "public"];
  const found = await get<Integration[]>(`integration/${kind}`, { amount: 10_000, orderBy: "name,asc", fields }, signal);
  return found.map((one) => ({ ...one, public: isOfCatalogue(one.id) }));
}

export const isOfCatalogue = (id: string): boolean => CATALOGUE.test(id);

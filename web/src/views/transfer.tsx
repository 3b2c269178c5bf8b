/** Import and export of a device as a page of its own: `#/transfer/<device id>`. */
import { useSignal } from "@preact/signals";
import { get } from "../lib/api";
import { useLoad } from "../lib/load";
import { Problem } from "../lib/problem";
import { to } from "../lib/router";
import { Export } from "./transfer/export";
import { Import } from "./transfer/import";

export default function Transfer({ parts: [id = ""] }: { parts: string[] }) {
  const { value: device, error, reload } = useLoad((signal) => get<{ id: string; name: string }>(`device/${encodeURIComponent(id)}`, {}, signal), []);
  const isExport = useSignal(false);
  return (
    <>
      {device && <p class="crumb"><a href={to("device", device.id)}>{device.name}</a></p>}
      <h1>Import and export</h1>
      <Problem error={error} retry={reload} />
      {device && (
        <>
          <div class="tabs">
            <button type="button" aria-pressed={!isExport.value} onClick={() => (isExport.value = false)}>Import</button>
            <button type="button" aria-pressed={isExport.value} onClick={() => (isExport.value = true)}>Export</button>
          </div>
          {isExport.value ? <Export device={device} /> : <Import device={device} />}
        </>
      )}
    </>
  );
}

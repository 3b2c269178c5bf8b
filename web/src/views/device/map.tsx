/** Where a device was: a plot of its locations without tiles, as no other host is asked. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { TabProps } from "../device";
import { get } from "../../lib/api";
import { READ_QTY } from "../../lib/feed";
import { useLoad } from "../../lib/load";
import { fit, gridLines, magnified, moved, type Place, project, scaleBar, thinned, type View } from "../../lib/map";
import { merged, type Point } from "../../lib/points";
import { Problem } from "../../lib/problem";
import { timeText } from "../../lib/units";

const FIRST_QTY = 1_000;
const APART_PX = 7;
const STEP_PX = 60;

interface Stop extends Place {
  point: Point;
}

export default function LocationMap({ device, feed }: TabProps) {
  const path = `device/${device.id}/data`;
  const qty = useSignal(FIRST_QTY);
  const points = useSignal<Point[]>([]);
  const view = useSignal<View | null>(null);
  const size = useSignal({ width: 800, height: 480 });
  const chosen = useSignal<Point | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const { error, isLoading, value: count, reload } = useLoad(async (signal) => {
    const read = await get<Point[]>(path, { qty: qty.value }, signal);
    points.value = merged(points.value, read);
    return read.length;
  }, [qty.value, feed.gaps.value]);
  useEffect(() => feed.hear((more) => (points.value = merged(points.value, more))), []);

  const stops = points.value.flatMap((point): Stop[] => {
    if (!point.location) return [];
    const [longitude, latitude] = point.location.coordinates;
    return [{ latitude, longitude, point }];
  });
  const hasStops = stops.length > 0;
  useLayoutEffect(() => {
    if (!box.current) return;
    const observer = new ResizeObserver(([entry]) => (size.value = { width: entry!.contentRect.width, height: entry!.contentRect.height }));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, [hasStops]);

  if (!hasStops) {
    return (
      <>
        <Problem error={error} retry={reload} />
        {!isLoading && !error && (
          <div class="empty">
            <p>No point among the newest {(count ?? 0).toLocaleString()} has a location.</p>
            <p>Send one with <code>"location": {"{"}"lat": 48.137, "lng": 11.575{"}"}</code>.</p>
          </div>
        )}
      </>
    );
  }
  const shown = view.value ?? fit(stops, size.value);
  const placed = stops.map((stop) => {
    const [x, y] = project(stop, shown, size.value);
    return { x, y, stop };
  });
  const bar = scaleBar(shown, Math.min(160, size.value.width / 3));
  const newest = stops[0]!;
  const move = (x: number, y: number) => (view.value = moved(shown, x, y));
  const keys: Record<string, () => void> = {
    ArrowLeft: () => move(STEP_PX, 0), ArrowRight: () => move(-STEP_PX, 0), ArrowUp: () => move(0, STEP_PX), ArrowDown: () => move(0, -STEP_PX),
    "+": () => (view.value = magnified(shown, 2)), "-": () => (view.value = magnified(shown, 0.5)),
  };
  const detail = chosen.value ?? newest.point;
  return (
    <>
      <Problem error={error} retry={reload} />
      <div class="bar">
        <div class="segments" role="group" aria-label="Zoom">
          <button type="button" aria-label="Zoom in" onClick={() => (view.value = magnified(shown, 2))}>+</button>
          <button type="button" aria-label="Zoom out" onClick={() => (view.value = magnified(shown, 0.5))}>−</button>
          <button type="button" onClick={() => (view.value = null)}>Show all</button>
        </div>
        <span class="quiet">{stops.length.toLocaleString()} locations among the newest {points.value.length.toLocaleString()} points</span>
        {qty.value < READ_QTY && (count ?? 0) >= qty.value && <button type="button" class="push" disabled={isLoading} onClick={() => (qty.value = READ_QTY)}>Look at {READ_QTY.toLocaleString()}</button>}
      </div>
      <div
        class="map card" ref={box} tabIndex={0} role="group" aria-label="Map. Arrow keys move it, plus and minus zoom."
        onKeyDown={(event) => {
          const act = keys[event.key];
          if (act) event.preventDefault();
          act?.();
        }}
        onPointerMove={(event) => event.buttons === 1 && move(event.movementX, event.movementY)}
      >
        <svg width={size.value.width} height={size.value.height} aria-hidden="true">
          <Grid view={shown} size={size.value} />
          <polyline class="track" points={placed.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")} />
          {thinned(placed, APART_PX).reverse().map(({ x, y, stop }) => (
            <circle
              key={stop.point.id} class={stop === newest ? "newest" : stop.point === chosen.value ? "chosen" : ""} cx={x} cy={y} r={stop === newest ? 7 : 4}
              onClick={() => (chosen.value = stop.point)}
            >
              <title>{timeText(stop.point.time)}</title>
            </circle>
          ))}
          <g class="scale" transform={`translate(16 ${size.value.height - 16})`}>
            <path d={`M0 -6V0H${bar.pixels.toFixed(1)}V-6`} />
            <text x={bar.pixels / 2} y={-8} text-anchor="middle">{bar.text}</text>
          </g>
        </svg>
      </div>
      <p role="status">
        <strong>{chosen.value ? "Chosen" : "Newest"}:</strong>{" "}
        {detail.location!.coordinates[1]}, {detail.location!.coordinates[0]} · {detail.variable} · {timeText(detail.time)}
      </p>
    </>
  );
}

function Grid({ view, size }: { view: View; size: { width: number; height: number } }) {
  const { middle, pixelsPerDegree } = view;
  const high = size.height / 2 / pixelsPerDegree;
  const wide = size.width / 2 / (pixelsPerDegree * Math.max(0.01, Math.cos((middle.latitude * Math.PI) / 180)));
  const latitudes = gridLines(middle.latitude - high, middle.latitude + high, size.height / 120);
  const longitudes = gridLines(middle.longitude - wide, middle.longitude + wide, size.width / 160);
  const at = (latitude: number, longitude: number) => project({ latitude, longitude }, view, size);
  return (
    <g class="grid-lines">
      {latitudes.map((degrees) => {
        const y = at(degrees, middle.longitude)[1];
        return <g key={`a${degrees}`}><path d={`M0 ${y}H${size.width}`} /><text x={4} y={y - 4}>{degrees}°</text></g>;
      })}
      {longitudes.map((degrees) => {
        const x = at(middle.latitude, degrees)[0];
        return <g key={`o${degrees}`}><path d={`M${x} 0V${size.height}`} /><text x={x + 4} y={14}>{degrees}°</text></g>;
      })}
    </g>
  );
}

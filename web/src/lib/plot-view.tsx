/** A plot of several variables over time, by uPlot. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { type Columns, type Range, scaleOf, tickTexts } from "./plot";

export interface Line {
  variable: string;
  unit: string | undefined;
  /** The name of a colour of the styles, such as --plot-1. */
  colour: string;
}

const NARROW_PX = 560;

/** `onCursor` hears at which index of the columns the pointer is; undefined: it is elsewhere. */
export function Plot(props: {
  label: string;
  lines: Line[];
  columns: Columns;
  range: Range;
  onZoom: (range: Range) => void;
  onCursor: (index: number | undefined) => void;
}) {
  const element = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const now = useRef(props);
  now.current = props;
  const theme = useSignal(0);
  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => (theme.value += 1);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, []);
  const shape = JSON.stringify(props.lines);
  useEffect(() => {
    const box = element.current!;
    const made = new uPlot(optionsOf(box, props.lines, () => now.current), now.current.columns as uPlot.AlignedData, box);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize(sizeOf(box)));
    observer.observe(box);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [shape, theme.value]);
  const { fromMs, toMs } = props.range;
  useEffect(() => {
    plot.current?.batch(() => {
      plot.current!.setData(props.columns as uPlot.AlignedData, false);
      plot.current!.setScale("x", { min: fromMs / 1_000, max: toMs / 1_000 });
    });
  }, [props.columns, fromMs, toMs, shape, theme.value]);
  return <div class="plot" ref={element} role="img" aria-label={props.label} />;
}

function sizeOf(box: HTMLElement): { width: number; height: number } {
  return { width: box.clientWidth, height: box.clientHeight };
}

type Current = () => { onZoom: (range: Range) => void; onCursor: (index: number | undefined) => void };

function optionsOf(box: HTMLElement, lines: Line[], current: Current): uPlot.Options {
  const style = getComputedStyle(box);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const scales = [...new Set(lines.map(({ unit }) => scaleOf(unit)))];
  const units = new Map(lines.map(({ unit }) => [scaleOf(unit), unit ?? ""]));
  const owner = (scale: string) => lines.filter(({ unit }) => scaleOf(unit) === scale);
  const line = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  return {
    ...sizeOf(box),
    legend: { show: false },
    scales: { x: { time: true }, ...Object.fromEntries(scales.map((scale) => [scale, {}])) },
    series: [
      {},
      ...lines.map(({ variable, unit, colour: name }) => ({
        label: variable,
        scale: scaleOf(unit),
        stroke: colour(name),
        width: 2,
        spanGaps: true,
        points: { size: 6 },
      })),
    ],
    axes: [
      { ...line, values: (_plot, ticksS, _axis, _space, stepS) => tickTexts(ticksS, stepS) },
      ...scales.map((scale, index) => ({
        ...line,
        // The axis of a single line has its colour.
        stroke: colour(owner(scale).length === 1 ? owner(scale)[0]!.colour : "--quiet"),
        scale,
        side: (index % 2 === 0 ? 3 : 1) as uPlot.Axis.Side,
        grid: { ...line.grid, show: index === 0 },
        size: box.clientWidth < NARROW_PX ? 44 : 60,
        label: units.get(scale),
        labelSize: 18,
        labelFont: "12px system-ui, sans-serif",
      })),
    ],
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 8 } },
    hooks: {
      setCursor: [(plot) => current().onCursor(plot.cursor.idx ?? undefined)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 8) return;
          const toMs = (pixel: number) => Math.round(plot.posToVal(pixel, "x") * 1_000);
          current().onZoom({ fromMs: toMs(left), toMs: toMs(left + width) });
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

/** A list of thousands of rows, of which only those in sight are in the page. Arrow keys move between rows. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { reveal, windowOf } from "./virtual";

export function Rows<T>(props: {
  label: string;
  items: T[];
  rowHeight: number;
  keyOf: (item: T) => string;
  children: (item: T) => ComponentChildren;
}) {
  const { items, rowHeight, keyOf } = props;
  const element = useRef<HTMLDivElement>(null);
  const view = useSignal({ top: 0, height: 800 });
  const measure = () => {
    if (element.current) view.value = { top: element.current.scrollTop, height: element.current.clientHeight };
  };
  useLayoutEffect(() => {
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(measure, [items.length]);
  const { first, end } = windowOf(view.value.top, view.value.height, rowHeight, items.length);

  const move = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = (event.target as HTMLElement).closest<HTMLElement>("[aria-posinset]");
    if (!step || !row || (event.target as HTMLElement).matches("input, select, textarea")) return;
    const index = Number(row.ariaPosInSet) - 1 + step;
    if (index < 0 || index >= items.length) return;
    event.preventDefault();
    const list = element.current!;
    list.scrollTop = reveal(index, list.scrollTop, list.clientHeight, rowHeight);
    requestAnimationFrame(() => list.querySelector<HTMLElement>(`[aria-posinset="${index + 1}"] :is(a, button)`)?.focus());
  };
  return (
    <div class="rows" ref={element} onScroll={measure} onKeyDown={move} tabIndex={-1}>
      <ul aria-label={props.label} style={{ height: `${items.length * rowHeight}px` }}>
        {items.slice(first, end).map((item, offset) => (
          <li
            key={keyOf(item)}
            aria-posinset={first + offset + 1}
            aria-setsize={items.length}
            style={{ transform: `translateY(${(first + offset) * rowHeight}px)`, height: `${rowHeight}px` }}
          >
            {props.children(item)}
          </li>
        ))}
      </ul>
    </div>
  );
}

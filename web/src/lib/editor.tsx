/** An editor of source: a text area with the numbers of its lines, and one line that can be marked. */
import { useLayoutEffect, useRef } from "preact/hooks";
import "../admin.css";

const INDENT = "  ";

export interface EditorProps {
  label: string;
  value: string;
  onInput: (text: string) => void;
  /** The line with the error, from 1 on. The editor moves there. */
  marked?: number | null;
  isReadOnly?: boolean;
}

export function Editor({ label, value, onInput, marked, isReadOnly }: EditorProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const follow = () => {
    if (gutter.current && area.current) gutter.current.scrollTop = area.current.scrollTop;
  };
  useLayoutEffect(() => {
    if (marked && area.current) showLine(area.current, marked);
  }, [marked]);
  const key = (event: KeyboardEvent) => {
    const element = area.current!;
    if (event.key !== "Tab" || event.shiftKey || event.ctrlKey || event.altKey || isReadOnly) return;
    if (element.dataset["leaving"]) return; // after Escape, Tab leaves the editor
    event.preventDefault();
    element.setRangeText(INDENT, element.selectionStart, element.selectionEnd, "end");
    onInput(element.value);
  };
  const note = (event: KeyboardEvent) => {
    const element = area.current!;
    if (event.key === "Escape") element.dataset["leaving"] = "1";
    else if (event.key !== "Tab") delete element.dataset["leaving"];
    key(event);
  };
  const count = value.split("\n").length;
  return (
    <div class="editor">
      <div class="gutter mono" ref={gutter} aria-hidden="true">
        {Array.from({ length: count }, (_, index) => (
          <span key={index} class={index + 1 === marked ? "marked" : ""}>{index + 1}</span>
        ))}
      </div>
      <textarea
        ref={area}
        class="mono"
        aria-label={label}
        aria-description="Tab indents. Press Escape, then Tab, to leave the editor."
        aria-invalid={marked ? "true" : undefined}
        value={value}
        wrap="off"
        spellcheck={false}
        autocapitalize="off"
        autocomplete="off"
        readOnly={isReadOnly}
        onInput={(event) => onInput(event.currentTarget.value)}
        onScroll={follow}
        onKeyDown={note}
      />
    </div>
  );
}

/** Select a line, and scroll it into sight. */
export function showLine(area: HTMLTextAreaElement, line: number): void {
  const lines = area.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  area.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
  const height = area.scrollHeight / lines.length;
  area.scrollTop = Math.max(0, (line - 1) * height - area.clientHeight / 2);
}

/** Which rows of a long list to draw. Pure. All rows have the same height. */

export interface Window {
  /** Index of the first row. */
  first: number;
  /** Index after the last row. */
  end: number;
}

/** Rows that are drawn above and below what is seen, so that scrolling and the Tab key find them. */
const SPARE = 6;

export function windowOf(scrollTop: number, height: number, rowHeight: number, count: number): Window {
  const first = Math.max(0, Math.min(Math.floor(scrollTop / rowHeight), count - 1) - SPARE);
  const end = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + SPARE);
  return { first, end: Math.max(first, end) };
}

/** Return the scroll position that shows a row whole, moving as little as possible. */
export function reveal(index: number, scrollTop: number, height: number, rowHeight: number): number {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  return top + rowHeight > scrollTop + height ? top + rowHeight - height : scrollTop;
}

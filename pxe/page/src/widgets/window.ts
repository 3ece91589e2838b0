// Of a long list only the rows in sight are drawn, so that 4,000 machines cost what 100 do.

import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** Rows beyond the edges that are drawn too. */
const MARGIN = 4;

export interface Window {
  /** Of the element that all rows are in. */
  box: RefObject<HTMLDivElement | null>;
  /** In pixels. */
  width: number;
  first: number;
  last: number;
}

/** Which of `rows` rows of `height` pixels each are in sight, in an element that scrolls with the page. */
export function useWindow(rows: (width: number) => number, height: number): Window {
  const box = useRef<HTMLDivElement>(null);
  const [seen, see] = useState({ width: 0, first: 0, last: 0 });
  const look = () => {
    const rect = box.current?.getBoundingClientRect();
    if (!rect) return;
    const all = rows(rect.width);
    const first = Math.max(0, Math.min(all, Math.floor(-rect.top / height)) - MARGIN);
    const last = Math.min(all, Math.max(0, Math.ceil((innerHeight - rect.top) / height)) + MARGIN);
    see((old) =>
      old.width === rect.width && old.first === first && old.last === last ? old : { width: rect.width, first, last },
    );
  };
  // What is above the list may have grown: it is looked at after each drawing.
  useLayoutEffect(look);
  useEffect(() => {
    const sizes = new ResizeObserver(look);
    if (box.current) sizes.observe(box.current);
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      sizes.disconnect();
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
    };
  });
  return { box, ...seen };
}

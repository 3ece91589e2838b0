// What is wrong in a text, by line: each leads there.

import type { RefObject } from "preact";

export interface Mistake {
  line: number;
  column: number;
  message: string;
}

export function Mistakes({ mistakes, field }: { mistakes: Mistake[]; field: RefObject<HTMLTextAreaElement | null> }) {
  return mistakes.map(({ line, column, message }) => (
    <p key={`${line} ${message}`}>
      <button type="button" class="more" onClick={() => show(field.current, line)}>
        Line {line}, column {column}
      </button>{" "}
      <span class="error">{message}</span>
    </p>
  ));
}

/** Shows a line in a text, by selecting it. */
function show(field: HTMLTextAreaElement | null, line: number) {
  if (!field) return;
  const lines = field.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((length, { length: more }) => length + more + 1, 0);
  field.focus();
  field.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
}

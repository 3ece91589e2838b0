// Begins and ends the picking of machines.

import type { Machine } from "../live/types";
import type { Selecting } from "./selection";

interface Props {
  selecting: Selecting;
  /** Those that filters let through. */
  shown: Machine[];
  mayAct: boolean;
}

export function Picking({ selecting: { selection, begin, end }, shown, mayAct }: Props) {
  if (!mayAct) return null;
  return (
    <>
      <button type="button" aria-pressed={selection !== null} onClick={() => (selection ? end() : begin([]))}>
        Select
      </button>
      {selection && (
        <button type="button" onClick={() => begin(shown.map(({ id }) => id))}>
          Select all shown
        </button>
      )}
    </>
  );
}

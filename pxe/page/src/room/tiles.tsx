// Machines as tiles; arrow keys go from one to the next.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Machine } from "../live/types";
import { machineAddress } from "../route";
import { useWindow } from "../widgets/window";
import { kindOf, nameOf } from "../words";
import type { Selection } from "./selection";
import { statusOf } from "./status";

/** In units of the font's size; main.css draws tiles of this size. */
const WIDTH_REM = 13;
const HEIGHT_REM = 5;
const GAP_REM = 0.5;

const remPixels = () => Number.parseFloat(getComputedStyle(document.documentElement).fontSize);

interface Props {
  machines: Machine[];
  now: number;
  /** Where it is there, tiles are picked, and lead nowhere. */
  selection: Selection | null;
}

export function Tiles({ machines, now, selection }: Props) {
  const rem = remPixels();
  const height = (HEIGHT_REM + GAP_REM) * rem;
  const columnsIn = (width: number) => Math.max(1, Math.floor((width + GAP_REM * rem) / ((WIDTH_REM + GAP_REM) * rem)));
  const { box, width, first, last } = useWindow((width) => Math.ceil(machines.length / columnsIn(width)), height);
  const columns = columnsIn(width);
  const { active, onKeyDown, onFocusIn } = useArrows(machines.length, columns, box, height);
  const rows = Math.ceil(machines.length / columns);
  const from = first * columns;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys go to the links in it
    <div ref={box} class="tiles" style={{ height: `${rows * height}px` }} onKeyDown={onKeyDown} onFocusIn={onFocusIn}>
      <ul style={{ transform: `translateY(${first * height}px)`, gridTemplateColumns: `repeat(${columns}, 1fr)` }}>
        {machines.slice(from, last * columns).map((machine, at) => (
          <Tile
            key={machine.id}
            machine={machine}
            now={now}
            at={from + at}
            of={machines.length}
            reachable={from + at === active}
            selection={selection}
          />
        ))}
      </ul>
    </div>
  );
}

interface TileProps {
  machine: Machine;
  now: number;
  at: number;
  of: number;
  /** Tab stops here. */
  reachable: boolean;
  selection: Selection | null;
}

function Tile({ machine, now, at, of, reachable, selection }: TileProps) {
  const { done_bytes, total_bytes } = machine.progress;
  const share = total_bytes > 0 ? Math.min(1, done_bytes / total_bytes) : 0;
  const shared = { class: `tile ${kindOf(machine)}`, "data-at": at, tabIndex: reachable ? 0 : -1 };
  const text = (
    <>
      <b class="name">{nameOf(machine)}</b>
      <span>{statusOf(machine, now)}</span>
      <span class="dim">{[machine.address, machine.image].filter(Boolean).join(" · ")}</span>
      <i class="share" style={{ width: `${100 * share}%` }} />
    </>
  );
  return (
    <li aria-setsize={of} aria-posinset={at + 1}>
      {selection ? (
        <button
          {...shared}
          type="button"
          aria-pressed={selection.has(machine.id)}
          onClick={() => selection.toggle(machine.id)}
        >
          {text}
        </button>
      ) : (
        <a {...shared} href={machineAddress(machine.id)}>
          {text}
        </a>
      )}
    </li>
  );
}

const STEPS: Record<string, (at: number, columns: number, count: number) => number> = {
  ArrowLeft: (at) => at - 1,
  ArrowRight: (at) => at + 1,
  ArrowUp: (at, columns) => at - columns,
  ArrowDown: (at, columns) => at + columns,
  Home: () => 0,
  End: (_at, _columns, count) => count - 1,
};

/** One tile is reached by Tab, the others from there by arrow keys, also those that are not drawn yet. */
function useArrows(count: number, columns: number, box: { current: HTMLDivElement | null }, height: number) {
  const [at, setActive] = useState(0);
  const active = Math.min(at, count - 1);
  const goes = useRef(false);
  const tile = (at: number) => box.current?.querySelector<HTMLElement>(`[data-at="${at}"]`);
  useLayoutEffect(() => {
    const target = goes.current ? tile(active) : null;
    if (!target) return;
    goes.current = false;
    target.focus();
  });
  const onFocusIn = (event: FocusEvent) => {
    const at = (event.target as HTMLElement).dataset.at;
    if (at !== undefined) setActive(Number(at));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = step(active, columns, count);
    if (next < 0 || next >= count) return;
    goes.current = true;
    setActive(next);
    if (!tile(next) && box.current) {
      const top = box.current.getBoundingClientRect().top + Math.floor(next / columns) * height;
      scrollBy(0, top - innerHeight / 2);
    }
  };
  return { active, onKeyDown, onFocusIn };
}

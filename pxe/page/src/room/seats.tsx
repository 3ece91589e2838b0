// Machines where they stand in the room. Somebody drags them there once, and the server keeps it.

import { useState } from "preact/hooks";
import { batches, send } from "../acts/send";
import type { Machine, Seat } from "../live/types";
import { machineAddress } from "../route";
import { count, kindOf, nameOf } from "../words";
import type { Selection } from "./selection";
import { statusOf } from "./status";

/** In units of the font's size; room.css draws seats of this size less a gap. */
const WIDTH_REM = 8;
const HEIGHT_REM = 4;
/** Machines in a row where nobody has said anything. */
const ROW = 8;
/** The server takes columns and rows up to this. */
const LAST = 255;

type Seats = Record<string, Seat>;

interface Props {
  machines: Machine[];
  seats: Seats;
  mayAct: boolean;
  now: number;
  /** Where it is there, machines are picked. */
  selection: Selection | null;
}

export function SeatMap({ machines, seats: kept, mayAct, now, selection }: Props) {
  const [arranges, setArranges] = useState(false);
  /** What the server was told and has not said back yet. */
  const [moved, setMoved] = useState<Seats>({});
  const [error, setError] = useState<string | null>(null);
  const seats = { ...kept, ...moved };
  const placed = machines.filter(({ id }) => seats[id]);
  const others = machines.filter(({ id }) => !seats[id]);
  const place = async (changed: Seats) => {
    setMoved({ ...moved, ...changed });
    setError(await keep(changed));
  };
  const move = (id: string, to: Seat) => {
    if (to[0] < 0 || to[1] < 0 || to[0] > LAST || to[1] > LAST) return;
    const from = seats[id];
    const taken = Object.entries(seats).find(([other, seat]) => other !== id && seat[0] === to[0] && seat[1] === to[1]);
    place({ [id]: to, ...(taken && from ? { [taken[0]]: from } : {}) });
  };
  return (
    <>
      {mayAct && (
        <p class="buttons">
          <button type="button" aria-pressed={arranges} onClick={() => setArranges(!arranges)}>
            Arrange
          </button>
          {others.length > 0 && (
            <button type="button" onClick={() => place(inRows(others, seats))}>
              Put {count(others.length, "more machine")} into rows
            </button>
          )}
          {arranges && <span class="dim">Drag machines, or move the chosen one by arrow keys.</span>}
        </p>
      )}
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      {placed.length > 0 && (
        <section class="seats" aria-label="Seats">
          <div style={extent(placed, seats)}>
            {placed.map((machine) => (
              <Place
                key={machine.id}
                machine={machine}
                seat={seats[machine.id] ?? [0, 0]}
                now={now}
                selection={selection}
                onMove={arranges ? (to) => move(machine.id, to) : null}
              />
            ))}
          </div>
        </section>
      )}
      {others.length > 0 && (
        <p class="names">
          Not placed:
          {others.slice(0, 100).map((machine) => (
            <a key={machine.id} href={machineAddress(machine.id)}>
              {nameOf(machine)}
            </a>
          ))}
          {others.length > 100 && <span>and {others.length - 100} more</span>}
        </p>
      )}
    </>
  );
}

async function keep(changed: Seats): Promise<string | null> {
  for (const entries of batches(Object.entries(changed))) {
    const { error } = await send("PATCH", "api/seats", Object.fromEntries(entries));
    if (error !== null) return error;
  }
  return null;
}

/** Seats below all that are taken. */
function inRows(machines: Machine[], seats: Seats): Seats {
  const free = Math.max(-1, ...Object.values(seats).map(([, row]) => row)) + 1;
  return Object.fromEntries(machines.map(({ id }, at) => [id, [at % ROW, free + Math.floor(at / ROW)] as Seat]));
}

const rem = (count: number) => `${count}rem`;

const extent = (machines: Machine[], seats: Seats) => ({
  width: rem(WIDTH_REM * (1 + Math.max(...machines.map(({ id }) => seats[id]?.[0] ?? 0)))),
  height: rem(HEIGHT_REM * (1 + Math.max(...machines.map(({ id }) => seats[id]?.[1] ?? 0)))),
});

const ARROWS: Record<string, Seat> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

interface PlaceProps {
  machine: Machine;
  seat: Seat;
  now: number;
  selection: Selection | null;
  /** None: it stays where it is. */
  onMove: ((to: Seat) => void) | null;
}

function Place({ machine, seat, now, selection, onMove }: PlaceProps) {
  /** How far it has been dragged, in pixels, and from where. */
  const [drag, setDrag] = useState<{ x: number; y: number; byX: number; byY: number } | null>(null);
  const place = {
    left: rem(seat[0] * WIDTH_REM),
    top: rem(seat[1] * HEIGHT_REM),
    transform: drag ? `translate(${drag.byX}px, ${drag.byY}px)` : "",
  };
  const text = (
    <>
      <b class="name">{nameOf(machine)}</b>
      <span>{statusOf(machine, now)}</span>
    </>
  );
  if (selection) {
    return (
      <button
        type="button"
        class={`tile seat ${kindOf(machine)}`}
        style={place}
        aria-pressed={selection.has(machine.id)}
        onClick={() => selection.toggle(machine.id)}
      >
        {text}
      </button>
    );
  }
  if (!onMove) {
    return (
      <a class={`tile seat ${kindOf(machine)}`} style={place} href={machineAddress(machine.id)}>
        {text}
      </a>
    );
  }
  const drop = () => {
    if (!drag) return;
    const pixels = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    setDrag(null);
    const columns = Math.round(drag.byX / (WIDTH_REM * pixels));
    const rows = Math.round(drag.byY / (HEIGHT_REM * pixels));
    if (columns !== 0 || rows !== 0) onMove([seat[0] + columns, seat[1] + rows]);
  };
  return (
    <button
      type="button"
      class={`tile seat ${kindOf(machine)}`}
      style={place}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        setDrag({ x: event.clientX, y: event.clientY, byX: 0, byY: 0 });
      }}
      onPointerMove={(event) => drag && setDrag({ ...drag, byX: event.clientX - drag.x, byY: event.clientY - drag.y })}
      onPointerUp={drop}
      onPointerCancel={() => setDrag(null)}
      onKeyDown={(event) => {
        const by = ARROWS[event.key];
        if (!by) return;
        event.preventDefault();
        onMove([seat[0] + by[0], seat[1] + by[1]]);
      }}
    >
      {text}
    </button>
  );
}

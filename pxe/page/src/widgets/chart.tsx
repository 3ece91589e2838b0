// Lines over time, drawn by uPlot; below them a sentence says what they show, and a table has their values.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { type Columns, spread } from "../rates/series";
import { rate, timeOfDay } from "../words";
import { Table } from "./table";

export interface Line {
  name: string;
  /** A variable of main.css. */
  colour: string;
  /** Lengths of strokes and gaps in pixels; a line without gaps where there are none. */
  dash?: number[];
}

interface Props {
  title: string;
  /** All of it in a sentence. */
  children: string;
  lines: Line[];
  /** In bytes a second. It is drawn anew when it is another object. */
  columns: Columns;
}

/** Lines of the table. */
const ROWS = 12;
/** Steps of the axis: powers of two, as `size` counts. */
const STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

export function Chart({ title, children, lines, columns }: Props) {
  const [at, setAt] = useState<number | null>(null);
  const box = usePlot(lines, columns, setAt);
  const [open, setOpen] = useState(false);
  const [times, ...values] = columns;
  const shown = Math.min(at ?? times.length - 1, times.length - 1);
  const text = (value: number | null | undefined) => (value == null ? "–" : rate(Math.round(value)));
  return (
    <section class="card chart" aria-label={title}>
      <h2>{title}</h2>
      <div class="plot" role="img" aria-label={`${title}: ${children}`} ref={box} />
      <p class="legend">
        <span>{timeOfDay(times[shown] ?? 0)}</span>
        {lines.map(({ name, colour, dash }, kind) => (
          <span key={name}>
            <i style={{ borderTop: `3px ${strokes(dash)} var(${colour})` }} /> {name} {text(values[kind]?.[shown])}
          </span>
        ))}
      </p>
      <p>{children}</p>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>As a table</summary>
        {open && (
          <Table label={`${title}, as a table`} head={["Time", ...lines.map(({ name }) => name)]}>
            {spread(times.length, ROWS).map((row) => (
              <tr key={row}>
                <th scope="row">{timeOfDay(times[row] ?? 0)}</th>
                {values.map((of, kind) => (
                  <td key={lines[kind]?.name}>{text(of[row])}</td>
                ))}
              </tr>
            ))}
          </Table>
        )}
      </details>
    </section>
  );
}

/** The same line in the legend. */
const strokes = (dash?: number[]) => (dash === undefined ? "solid" : (dash[0] ?? 0) < 3 ? "dotted" : "dashed");

/** A colour of main.css, as it is in the colours that hold now. */
const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name);

/** Draws in the element that gets the ref, and says which place the pointer is at. */
function usePlot(lines: Line[], columns: Columns, onPoint: (at: number | null) => void) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    if (!box.current) return;
    const drawn = new uPlot(options(lines, onPoint), columns, box.current);
    plot.current = drawn;
    const sizes = new ResizeObserver(([entry]) => {
      if (entry) drawn.setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    sizes.observe(box.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const again = () => drawn.redraw();
    scheme.addEventListener("change", again);
    return () => {
      scheme.removeEventListener("change", again);
      sizes.disconnect();
      drawn.destroy();
    };
  }, [lines]);
  useEffect(() => plot.current?.setData(columns), [columns]);
  return box;
}

function options(lines: Line[], onPoint: (at: number | null) => void): uPlot.Options {
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  const axis = {
    stroke: () => colour("--dim"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { stroke: () => colour("--line"), width: 1 },
    font: `${0.8 * rem}px system-ui, sans-serif`,
  };
  return {
    // What it is drawn in says the size at once.
    width: 100,
    height: 100,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { y: { range: (_, __, most) => [0, Math.max(1, 1.05 * most)] } },
    axes: [
      { ...axis, space: 6 * rem, size: 2 * rem, values: (_, splits) => splits.map(timeOfDay) },
      { ...axis, space: 2 * rem, size: 6.5 * rem, incrs: STEPS, values: (_, splits) => splits.map(rate) },
    ],
    series: [
      {},
      ...lines.map(({ colour: name, dash }) => ({
        stroke: () => colour(name),
        width: 2,
        points: { show: false },
        ...(dash && { dash }),
      })),
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
  };
}

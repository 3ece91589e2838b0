// Machines as a table.

import type { Machine } from "../live/types";
import { machineAddress } from "../route";
import { useWindow } from "../widgets/window";
import { kindOf, nameOf, size, span } from "../words";
import type { Selection } from "./selection";
import { statusOf } from "./status";

/** In units of the font's size; main.css draws rows of this height. */
const ROW_REM = 2;

interface Props {
  machines: Machine[];
  now: number;
  /** Where it is there, rows are picked. */
  selection: Selection | null;
}

export function MachineTable({ machines, now, selection }: Props) {
  const height = ROW_REM * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  const { box, first, last } = useWindow(() => machines.length, height);
  return (
    <div ref={box} class="table">
      <table aria-rowcount={machines.length + 1}>
        <thead>
          <tr>
            <th scope="col">Machine</th>
            <th scope="col">State</th>
            <th scope="col" class="wide">
              Address
            </th>
            <th scope="col" class="wide">
              Image
            </th>
            <th scope="col" class="wide">
              From server
            </th>
            <th scope="col" class="wide">
              From peers
            </th>
            <th scope="col">Heard</th>
          </tr>
        </thead>
        <tbody>
          <Space rows={first} height={height} />
          {machines.slice(first, last).map((machine, at) => (
            <Row key={machine.id} machine={machine} now={now} at={first + at} selection={selection} />
          ))}
          <Space rows={machines.length - last} height={height} />
        </tbody>
      </table>
    </div>
  );
}

/** In place of rows that are not drawn. */
function Space({ rows, height }: { rows: number; height: number }) {
  return rows > 0 ? (
    <tr class="space" style={{ height: `${rows * height}px` }}>
      <td colSpan={7} />
    </tr>
  ) : null;
}

interface RowProps {
  machine: Machine;
  now: number;
  at: number;
  selection: Selection | null;
}

function Row({ machine, now, at, selection }: RowProps) {
  return (
    <tr class={kindOf(machine)} aria-rowindex={at + 2}>
      <th scope="row">
        {selection && (
          <input
            type="checkbox"
            aria-label={`Select ${nameOf(machine)}`}
            checked={selection.has(machine.id)}
            onChange={() => selection.toggle(machine.id)}
          />
        )}
        <a href={machineAddress(machine.id)}>{nameOf(machine)}</a>
      </th>
      <td>{statusOf(machine, now)}</td>
      <td class="wide">{machine.address}</td>
      <td class="wide">{machine.image}</td>
      <td class="wide number">{size(machine.progress.from_server_bytes)}</td>
      <td class="wide number">{size(machine.progress.from_peers_bytes)}</td>
      <td class="number">{span(now - machine.last_heard)} ago</td>
    </tr>
  );
}

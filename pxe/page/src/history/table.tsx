// Runs, one a row.

import type { Room } from "../live/types";
import { machineAddress } from "../route";
import { Table } from "../widgets/table";
import { dateTime, nameOf, rate, size, span } from "../words";
import type { Run } from "./runs";

/** The colours of outcomes are those of states. */
export const COLOUR = { done: "done", failed: "failed", lost: "silent" };

const NUMBERS = ["Took", "Verified", "From server", "From others", "On average"];

export function RunTable({ runs, room, label }: { runs: Run[]; room: Room; label: string }) {
  return (
    <div class="runs">
      <Table label={label} head={["Machine", "Ended", "Image", "Began", ...NUMBERS]} numbers={NUMBERS}>
        {runs.map((run) => (
          <Row key={run.number} run={run} room={room} />
        ))}
      </Table>
    </div>
  );
}

function Row({ run, room }: { run: Run; room: Room }) {
  const machine = room.machines[run.machine];
  const seconds = run.ended - run.started;
  return (
    <tr class={COLOUR[run.outcome]}>
      <th scope="row">
        <a href={machineAddress(run.machine)}>{machine ? nameOf(machine) : run.machine}</a>
      </th>
      <td class="outcome">
        <b class="what">{run.outcome}</b>
        {run.proved && ", read back"}
        {run.error && (
          <>
            {" "}
            at {run.failed_step}: {run.error}
          </>
        )}
      </td>
      <td>{run.image ?? "–"}</td>
      <td>{dateTime(run.started)}</td>
      <td class="number">{span(seconds)}</td>
      <td class="number">{size(run.done_bytes)}</td>
      <td class="number">{size(run.from_server_bytes)}</td>
      <td class="number">{size(run.from_peers_bytes)}</td>
      <td class="number">{seconds > 0 ? rate(run.done_bytes / seconds) : "–"}</td>
    </tr>
  );
}

// The last runs of a machine that have ended.

import type { Run } from "../history/runs";
import { RunTable } from "../history/table";
import type { Machine, Room } from "../live/types";
import { historyAddress } from "../route";
import { useAsked } from "../widgets/asked";

const SHOWN = 5;

export function PastRuns({ machine, room }: { machine: Machine; room: Room }) {
  const address = `api/history?limit=${SHOWN}&machine=${encodeURIComponent(machine.id)}`;
  const { value, error } = useAsked<{ deployments: Run[] }>(address);
  return (
    <section class="card" aria-labelledby="past">
      <h2 id="past">Its last runs</h2>
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      {value?.deployments.length === 0 && <p class="dim">None has ended yet.</p>}
      {value && value.deployments.length > 0 && (
        <>
          <RunTable runs={value.deployments} room={room} label="Runs" />
          <p>
            <a href={historyAddress(machine.id)}>All of its history</a>
          </p>
        </>
      )}
    </section>
  );
}

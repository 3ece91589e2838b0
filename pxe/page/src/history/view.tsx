// What became of deployments: the newest first, a page at a time.

import { useEffect, useState } from "preact/hooks";
import { ask } from "../acts/send";
import type { Room } from "../live/types";
import { machineAddress } from "../route";
import { nameOf } from "../words";
import { Evening } from "./evening";
import { longer, type Run, renewed, together } from "./runs";

/** Runs that are asked for at a time. */
const PAGE = 100;

/** `machine` is an id, or empty for all. */
export function HistoryView({ room, machine }: { room: Room; machine: string }) {
  const { runs, isAll, error, more } = useHistory(room, machine);
  const known = room.machines[machine];
  const found = together(runs);
  return (
    <>
      <h1>History</h1>
      {machine !== "" && (
        <p>
          Only <a href={machineAddress(machine)}>{known ? nameOf(known) : machine}</a>.{" "}
          <a href="#/history">All machines</a>
        </p>
      )}
      <p class="buttons">
        <a href={`api/history.csv${queryOf({ machine })}`} download="ezio-history.csv">
          All of it as a table (CSV)
        </a>
      </p>
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      {isAll && runs.length === 0 && <p>No deployment has ended yet.</p>}
      {found.map((evening, at) => (
        <Evening key={evening.runs[evening.runs.length - 1]?.number} evening={evening} room={room} isOpen={at === 0} />
      ))}
      {!isAll && (
        <button type="button" onClick={more}>
          Show more
        </button>
      )}
    </>
  );
}

function queryOf(values: Record<string, string | number | undefined>): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return given.length > 0 ? `?${query}` : "";
}

function useHistory(room: Room, machine: string) {
  const [runs, setRuns] = useState<Run[]>([]);
  const [isAll, setAll] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const load = async (before: number | undefined, join: (known: Run[], page: Run[]) => Run[]) => {
    const address = `api/history${queryOf({ machine, before, limit: PAGE })}`;
    const { value, error } = await ask<{ deployments: Run[] }>(address);
    setError(error);
    if (value === null) return;
    setRuns((known) => join(known, value.deployments));
    if (before !== undefined || value.deployments.length < PAGE) setAll(value.deployments.length < PAGE);
  };
  const ended = room.counts.done + room.counts.failed;
  // Looked at anew when one more has ended.
  useEffect(() => {
    load(undefined, renewed);
  }, [machine, ended]);
  const more = () => load(runs[runs.length - 1]?.number, longer);
  return { runs, isAll, error, more };
}

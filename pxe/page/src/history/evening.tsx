// Runs that belong together: in one line, and one by one.

import type { Room } from "../live/types";
import { count, dateTime, size, span } from "../words";
import type { Run, Together } from "./runs";
import { COLOUR, RunTable } from "./table";

/** What went wrong comes first. */
const OUTCOMES: Run["outcome"][] = ["failed", "lost", "done"];

export function Evening({ evening, room, isOpen }: { evening: Together; room: Room; isOpen: boolean }) {
  const { runs, started, ended } = evening;
  const sum = (of: (run: Run) => number) => runs.reduce((total, run) => total + of(run), 0);
  const images = [...new Set(runs.map(({ image }) => image ?? "no image"))].join(", ");
  const outcomes = OUTCOMES.map((outcome) => ({ outcome, its: runs.filter((run) => run.outcome === outcome) }));
  return (
    <details class="card evening" open={isOpen}>
      <summary>
        <h2>{dateTime(started)}</h2>
        <span>
          {images} on {count(runs.length, "machine")} in {span(ended - started)}:{" "}
        </span>
        {outcomes
          .filter(({ its }) => its.length > 0)
          .map(({ outcome, its }) => (
            <b key={outcome} class={`what ${COLOUR[outcome]}`}>
              {its.length} {outcome}
            </b>
          ))}
        <span class="dim">
          {size(sum((run) => run.done_bytes))} verified, {size(sum((run) => run.from_server_bytes))} sent by the server
        </span>
      </summary>
      <RunTable runs={outcomes.flatMap(({ its }) => its)} room={room} label={`Deployment of ${dateTime(started)}`} />
    </details>
  );
}

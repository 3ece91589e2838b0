// How far the room is, in one look.

import type { Kind, Machine, Room } from "../live/types";
import { machineAddress } from "../route";
import { Bar } from "../widgets/bar";
import { useKept } from "../widgets/kept";
import { count, nameOf, rate, size, span } from "../words";
import type { Filter } from "./filter";
import { distance, type RoomProgress, roomProgress } from "./progress";

const KINDS: Kind[] = ["failed", "silent", "waiting", "working", "done"];

interface Props {
  room: Room;
  machines: Machine[];
  now: number;
  filter: Filter;
  onFilter: (filter: Filter) => void;
}

export function Summary({ room, machines, now, filter, onFilter }: Props) {
  const progress = roomProgress(machines, now);
  const { doneBytes, totalBytes, downBytesPerS, leftS, elapsedS } = progress;
  return (
    <section class="summary" aria-label="How far the room is">
      <fieldset class="counts">
        <legend class="hidden">Show only</legend>
        {KINDS.map((kind) => (
          <button
            key={kind}
            type="button"
            class={`count ${kind}`}
            aria-pressed={filter.kind === kind}
            onClick={() => onFilter({ ...filter, kind: filter.kind === kind ? "all" : kind })}
          >
            <b>{room.counts[kind]}</b> {kind}
          </button>
        ))}
      </fieldset>
      {totalBytes > 0 && (
        <div class="whole">
          <Bar share={doneBytes / totalBytes} label={`${count(progress.machines, "machine")} of this deployment`} />
          <p>
            <b>{Math.floor((100 * doneBytes) / totalBytes)} %</b> of {size(totalBytes)} on{" "}
            {count(progress.machines, "machine")}
            {leftS !== null && `, about ${span(leftS)} left`}
            {elapsedS !== null && `, ${span(elapsedS)} since the first byte`}
            {downBytesPerS > 0 && `; they receive ${rate(downBytesPerS)}`}; the server sends{" "}
            {rate(room.seeder.up_bytes_per_s)} to {count(room.seeder.peers, "peer")}
          </p>
          <Distance progress={progress} />
        </div>
      )}
      {progress.slow.length > 0 && (
        <div class="slow">
          <h2>Slowest</h2>
          <ul>
            {progress.slow.map(({ machine, why }) => (
              <li key={machine.id}>
                <a href={machineAddress(machine.id)}>{nameOf(machine)}</a> {why}
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}

/** Rates that links have, in megabits a second. What links a room has, machines do not report. */
const LINKS = [100, 1000, 2500, 10_000];

/** How far the room is from what its slowest common link allows. */
function Distance({ progress }: { progress: RoomProgress }) {
  const [link, choose] = useKept("link", 1000);
  const times = distance(progress, (link * 1e6) / 8);
  if (times === null) return null;
  return (
    <p>
      {progress.leftS === null ? "It took" : "At this rate it takes"} <b>{times.toFixed(2)}</b> times as long as one
      link of{" "}
      <select
        aria-label="Rate of the links"
        value={link}
        onChange={(event) => choose(Number(event.currentTarget.value))}
      >
        {LINKS.map((rate) => (
          <option key={rate} value={rate}>
            {rate < 1000 ? `${rate} Mbit/s` : `${rate / 1000} Gbit/s`}
          </option>
        ))}
      </select>{" "}
      needs for one machine.
    </p>
  );
}

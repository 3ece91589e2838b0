// How far the room is, in one look.

import type { Kind, Machine, Room } from "../live/types";
import { machineAddress } from "../route";
import { Bar } from "../widgets/bar";
import { count, linkRate, nameOf, rate, size, span } from "../words";
import type { Filter } from "./filter";
import { LINKS } from "./link";
import { distance, type RoomProgress, roomProgress } from "./progress";

const KINDS: Kind[] = ["failed", "silent", "waiting", "working", "done"];

interface Props {
  room: Room;
  machines: Machine[];
  now: number;
  filter: Filter;
  onFilter: (filter: Filter) => void;
  /** The rate of one link, in megabits a second. */
  link: number;
  onLink: (link: number) => void;
}

export function Summary({ room, machines, now, filter, onFilter, link, onLink }: Props) {
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
          <Distance progress={progress} link={link} onLink={onLink} />
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

interface DistanceProps {
  progress: RoomProgress;
  link: number;
  onLink: (link: number) => void;
}

/** How far the room is from what its slowest common link allows. */
function Distance({ progress, link, onLink }: DistanceProps) {
  const times = distance(progress, (link * 1e6) / 8);
  if (times === null) return null;
  const links = LINKS.includes(link) ? LINKS : [link, ...LINKS];
  return (
    <p>
      {progress.leftS === null ? "It took" : "At this rate it takes"} <b>{times.toFixed(2)}</b> times as long as one
      link of{" "}
      <select
        aria-label="Rate of the links"
        value={link}
        onChange={(event) => onLink(Number(event.currentTarget.value))}
      >
        {links.map((rate) => (
          <option key={rate} value={rate}>
            {linkRate(rate)}
          </option>
        ))}
      </select>{" "}
      needs for one machine.
    </p>
  );
}

// Asks before machines are deployed: what is lost, and where.

import type { Room } from "../live/types";
import { Ask } from "../widgets/ask";
import { count, dateTime, nameOf } from "../words";
import { lostBy, type Plan } from "./plan";
import { type Draft, inWords, repeats, type Wish, whenOf } from "./wish";

interface Props {
  draft: Draft;
  wish: Wish;
  plan: Plan;
  room: Room;
  onGo: () => Promise<string | null>;
  onClose: () => void;
}

export function Confirm({ draft, wish, plan, room, onGo, onClose }: Props) {
  const lost = lostBy(plan);
  const machines = count(plan.machines.length, "machine");
  const unseen = plan.machines.filter(({ verdict }) => verdict === "unknown").length;
  return (
    <Ask
      title={`Deploy ${machines}: ${inWords(wish)}`}
      act={lost.length > 0 ? `Deploy, and lose what ${count(lost.length, "disk")} hold` : "Deploy"}
      danger={lost.length > 0 || draft.approve}
      onGo={onGo}
      onClose={onClose}
    >
      <p>{begins(draft)}</p>
      {lost.length > 0 ? (
        <>
          <p class="error">{count(lost.length, "disk")} with data lose what they hold:</p>
          <ul class="targets">
            {lost.map(({ id, disk, holds }) => (
              <li key={`${id} ${disk}`}>
                <b>{name(room, id)}</b> {disk}: {holds}
              </li>
            ))}
          </ul>
        </>
      ) : (
        <p>No disk that would be written is known to hold data.</p>
      )}
      {unseen > 0 && <p>Of {count(unseen, "machine")} nobody knows yet what the disks hold.</p>}
      {draft.when !== "now" && <p>What the disks hold then is looked at then.</p>}
    </Ask>
  );
}

const name = (room: Room, id: string) => {
  const machine = room.machines[id];
  return machine ? nameOf(machine) : id;
};

function begins(draft: Draft): string {
  const when = whenOf(draft);
  if (when === null || typeof when === "string") {
    return draft.wake ? "They are switched on now." : "Each begins at its next network boot.";
  }
  const time =
    "cron" in when ? `${repeats(when.cron)}, by the server's clock` : dateTime(new Date(when.at).getTime() / 1000);
  return `It begins ${time}: ${draft.wake ? "they are switched on then." : "each is deployed at its next network boot after that."}`;
}

// What would become of machines, the worst first.

import type { ComponentChildren } from "preact";
import type { Room } from "../live/types";
import { Names } from "../widgets/names";
import { count } from "../words";
import { alike, keptBy, lostBy, type MachinePlan, type Plan, VERDICTS, type Verdict } from "./plan";

/** What becomes of one machine, and of several; and the colour that says so. */
const WORDS: Record<Verdict, [string, string, string]> = {
  refuse: ["refuses", "refuse", "failed"],
  wait: ["waits for your word", "wait for your word", "silent"],
  unknown: ["is not known yet", "are not known yet", "waiting"],
  write: ["is written", "are written", "working"],
  local: ["starts from its own disk", "start from their own disks", "done"],
};

interface Props {
  title: string;
  plan: Plan;
  room: Room;
  /** What can be done about it. */
  children?: ComponentChildren;
}

export function PlanCard({ title, plan, room, children }: Props) {
  const { machines } = plan;
  const [lost, kept] = [lostBy(plan).length, keptBy(plan).length];
  const kinds = VERDICTS.map((verdict) => ({
    verdict,
    found: machines.filter((machine) => machine.verdict === verdict),
  })).filter(({ found }) => found.length > 0);
  return (
    <section class="card plan" aria-label={title}>
      <h2>{title}</h2>
      {machines.length === 0 && <p>No machine is meant by this.</p>}
      {lost > 0 && <p class="error">{disks(lost)} that would be written.</p>}
      {lost === 0 && machines.length > 0 && <p>No disk that would be written is known to hold data.</p>}
      {kept > 0 && <p>{disks(kept)}, and keep it until somebody approves.</p>}
      {children && <p class="buttons">{children}</p>}
      {kinds.map(({ verdict, found }) => (
        <Kind key={verdict} verdict={verdict} machines={found} room={room} />
      ))}
      <p class="dim">Machines that were never seen are not listed.</p>
    </section>
  );
}

const disks = (number: number) => `${count(number, "disk")} ${number === 1 ? "holds" : "hold"} data`;

function Kind({ verdict, machines, room }: { verdict: Verdict; machines: MachinePlan[]; room: Room }) {
  const [one, several, colour] = WORDS[verdict];
  return (
    <section class={colour} aria-label={several}>
      <h3 class="what">
        {count(machines.length, "machine")} {machines.length === 1 ? one : several}
      </h3>
      <ul class="rows">
        {alike(machines).map(({ ids, lines, orders }) => (
          <li key={ids[0]}>
            <p>
              <Names room={room} ids={ids} />
            </p>
            {lines.map((line) => (
              <p key={line} class="why">
                {line}
              </p>
            ))}
            {orders && <p class="dim">By {orders}.</p>}
          </li>
        ))}
      </ul>
    </section>
  );
}

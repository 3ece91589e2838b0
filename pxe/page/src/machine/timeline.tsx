// The steps of a machine's run, in their order, and how long each took.

import type { Machine, Moment } from "../live/types";
import { clock, MOMENTS, span } from "../words";

interface Step {
  moment: Moment;
  at: number;
  /** Since the step before. */
  took: number;
}

/** All that has happened in this run, in order. */
function stepsOf(machine: Machine): Step[] {
  const moments = (Object.entries(machine.times) as [Moment, number][]).filter(([moment]) => moment !== "first-seen");
  moments.sort((a, b) => a[1] - b[1]);
  return moments.map(([moment, at], index) => ({
    moment,
    at,
    took: index === 0 ? 0 : at - (moments[index - 1]?.[1] ?? at),
  }));
}

/** What the machine's own clock says of the way to its first piece, in seconds since its kernel started. */
const OWN: [string, string][] = [
  ["init_s", "init runs"],
  ["link_s", "network link"],
  ["lease_s", "address"],
  ["conf_s", "orders"],
  ["disks_s", "disks chosen"],
  ["first_piece_s", "first piece verified"],
];

export function Timeline({ machine, now }: { machine: Machine; now: number }) {
  const steps = stepsOf(machine);
  const first = steps[0];
  const last = steps[steps.length - 1];
  if (!first || !last) return <p class="dim">Nothing has happened in this run yet.</p>;
  const runs = !["done", "failed"].includes(machine.state) && !machine.silent;
  const whole = Math.max((runs ? now : last.at) - first.at, 1);
  const own = OWN.filter(([key]) => machine.steps[key] !== undefined);
  return (
    <>
      <ol class="timeline">
        {steps.map(({ moment, at, took }) => (
          <li key={moment}>
            <time>{clock(at)}</time>
            <span>{MOMENTS[moment] ?? moment}</span>
            <span class="number">{took > 0 ? `+ ${took < 10 ? `${took.toFixed(1)} s` : span(took)}` : ""}</span>
            <span class="track" aria-hidden="true">
              <i style={{ left: `${(100 * (at - took - first.at)) / whole}%`, width: `${(100 * took) / whole}%` }} />
            </span>
          </li>
        ))}
      </ol>
      <p>{runs ? `Under way for ${span(now - first.at)}.` : `${span(last.at - first.at)} in all.`}</p>
      {own.length > 0 && (
        <p class="dim">
          By its own clock, since its kernel started:{" "}
          {own.map(([key, word]) => `${word} ${machine.steps[key]?.toFixed(1)} s`).join(", ")}.
        </p>
      )}
    </>
  );
}

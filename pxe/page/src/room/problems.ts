// What needs somebody: what it is, why, and what to do.

import type { Act } from "../acts/acts";
import type { Kind, Machine } from "../live/types";
import { failing } from "../machine/health";
import { kindOf, span, stateOf } from "../words";

/** The server gives a machine two minutes from its question what to boot to init's first report (fleet/room.rs). */
const BOOT_S = 180;

/** What kind of machine comes first; whose run went well has a problem only with its disk. */
const ORDER: Kind[] = ["failed", "waiting", "silent", "working", "done"];

export interface Problem {
  machine: Machine;
  /** The colour that says how bad it is. */
  colour: Kind;
  what: string;
  /** Paragraphs. */
  why: string[];
  toDo: string;
  acts: Act[];
}

/** All problems, the worst first. */
export const problemsOf = (machines: Machine[], now: number): Problem[] =>
  machines
    .map((machine) => problemOf(machine, now))
    .filter((problem) => problem !== null)
    .sort((a, b) => ORDER.indexOf(kindOf(a.machine)) - ORDER.indexOf(kindOf(b.machine)));

export function problemOf(machine: Machine, now: number): Problem | null {
  const problem = problemOfRun(machine, now);
  const disks = failing(machine);
  if (disks.length === 0) return problem;
  if (problem) return { ...problem, why: [...problem.why, ...disks.map((disk) => `A disk is failing: ${disk}`)] };
  return {
    machine,
    colour: "failed",
    what: "Disk is failing",
    why: disks,
    toDo: "Save what is needed of it and replace it, then have the machine deployed again: that is when the server hears of the new one.",
    acts: ["again"],
  };
}

function problemOfRun(machine: Machine, now: number): Problem | null {
  const colour = kindOf(machine);
  const about = (what: string, why: string, toDo: string, ...acts: Act[]) => ({
    machine,
    colour,
    what,
    why: [why],
    toDo,
    acts,
  });
  if (machine.state === "failed") {
    const next = machine.next ? ` (now: ${machine.next})` : "";
    return about(
      "Failed",
      `${machine.failed_step ?? "unknown step"}: ${machine.error ?? "nothing was said"}${next}`,
      "Mend what the error names, then have it deployed again.",
      "again",
      "hold",
    );
  }
  // Who was approved waits for nothing any more, until it has asked once more.
  if (machine.state === "waiting" && machine.waiting_for.length > 0 && !machine.silent) {
    return about(
      machine.held ? "Held" : "Waits for your word",
      machine.waiting_for.join("; "),
      "Approve it, and it goes on at once and loses what is on its disk; or hold it, and it starts from its own disk.",
      "approve",
      "hold",
    );
  }
  if (machine.silent) {
    return about(
      "Silent",
      `Was “${stateOf(machine)}”, and was not heard of for ${span(now - machine.last_heard)}.`,
      "See whether it is switched on and its cable is in. When the network is back, it goes on by itself.",
      "forget",
    );
  }
  const asked = machine.times.booting;
  if (machine.state === "booting" && asked !== undefined && now - asked > BOOT_S) {
    return about(
      "Lost while booting",
      `Was given init ${span(now - asked)} ago, and init has not reported.`,
      "Look at its screen. If it was switched off, there is nothing to do.",
      "forget",
    );
  }
  return null;
}

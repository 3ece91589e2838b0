// How far the room is, when it ends, and who holds it up. Only what the machines said goes in.

import type { Machine } from "../live/types";
import { kindOf, rate, span } from "../words";

/** Runs that begin within so many seconds of the end of others belong to the same deployment. */
const GAP_S = 120;
/** A machine is slow when it receives less than this share of what the middle of the room does. */
const SLOW = 0.5;
/** So long a machine may write and verify after its last byte before its disk is called slow, in seconds. */
const WRITES_S = 15;

export interface Slow {
  machine: Machine;
  why: string;
}

export interface RoomProgress {
  machines: number;
  ended: number;
  doneBytes: number;
  totalBytes: number;
  downBytesPerS: number;
  /** Seconds until the last working machine has all; null where that cannot be told. */
  leftS: number | null;
  /** Seconds from the first machine's first byte to now, or to the end. */
  elapsedS: number | null;
  /** The most that one machine has to be sent: what is zeros, or was on its disk, nobody sends. */
  sentBytes: number;
  slow: Slow[];
}

const began = (machine: Machine) => machine.times.booting ?? machine.times.started ?? 0;
const ended = (machine: Machine, now: number) =>
  machine.times.done ?? machine.times.failed ?? (machine.silent ? machine.last_heard : now);

/** The machines of the present deployment, or of the last one: those whose runs overlap, back from the latest. */
export function deployment(machines: Machine[], now: number): Machine[] {
  const runs = machines.filter((machine) => machine.times.started !== undefined);
  const found: Machine[] = [];
  // From the latest end backwards, as long as somebody was at work.
  let since = Number.NEGATIVE_INFINITY;
  for (const machine of runs.sort((a, b) => ended(b, now) - ended(a, now))) {
    if (ended(machine, now) < since - GAP_S) break;
    found.push(machine);
    since = found.length === 1 ? began(machine) : Math.min(since, began(machine));
  }
  return found;
}

const middle = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** Seconds until it has all; null where nothing arrives. */
export function timeLeft(machine: Machine): number | null {
  const { done_bytes, total_bytes, down_bytes_per_s } = machine.progress;
  if (machine.state !== "working" || machine.silent || down_bytes_per_s === 0) return null;
  return (total_bytes - done_bytes) / down_bytes_per_s;
}

function whySlow(machine: Machine, usual: number, now: number): string | null {
  const { down_bytes_per_s, peers } = machine.progress;
  const all = machine.times["last-byte"];
  if (machine.state === "received" && all !== undefined && now - all > WRITES_S) {
    return `has all data since ${span(now - all)} and still writes: its disk is slow`;
  }
  if (machine.state !== "working" || down_bytes_per_s >= usual * SLOW) return null;
  const slow = `receives ${rate(down_bytes_per_s)}, the middle of the room ${rate(usual)}`;
  return peers <= 1 ? `${slow}; it is connected to ${peers === 0 ? "nobody" : "one peer only"}` : slow;
}

export function roomProgress(all: Machine[], now: number): RoomProgress {
  const machines = deployment(all, now);
  const working = machines.filter((machine) => kindOf(machine) === "working");
  const rates = working.filter((m) => m.state === "working").map((m) => m.progress.down_bytes_per_s);
  const usual = middle(rates);
  const left = working.map(timeLeft).filter((time) => time !== null);
  const starts = machines.map((m) => m.times["first-byte"]).filter((time) => time !== undefined);
  const ends = machines.map((m) => (kindOf(m) === "working" ? now : (m.times["last-byte"] ?? 0)));
  const slow = working
    .map((machine) => ({ machine, why: whySlow(machine, usual, now) }))
    .filter((found): found is Slow => found.why !== null)
    .sort((a, b) => (timeLeft(b.machine) ?? 1e9) - (timeLeft(a.machine) ?? 1e9));
  const sum = (of: (machine: Machine) => number) => machines.reduce((total, machine) => total + of(machine), 0);
  return {
    machines: machines.length,
    ended: machines.filter((machine) => kindOf(machine) === "done").length,
    doneBytes: sum((m) => Math.min(m.progress.done_bytes, m.progress.total_bytes)),
    totalBytes: sum((m) => m.progress.total_bytes),
    downBytesPerS: working.reduce((total, m) => total + m.progress.down_bytes_per_s, 0),
    leftS: left.length > 0 ? Math.max(...left) : null,
    elapsedS: starts.length > 0 ? Math.max(...ends) - Math.min(...starts) : null,
    sentBytes: Math.max(0, ...machines.map(({ progress: p }) => p.total_bytes - p.zero_bytes - p.kept_bytes)),
    slow: slow.slice(0, 3),
  };
}

/**
 * How many times as long the room takes, up to its last byte, as a link of `bytesPerS` needs for what one machine is sent
 * (S/B). Null until both are known.
 */
export function distance({ elapsedS, leftS, sentBytes }: RoomProgress, bytesPerS: number): number | null {
  return elapsedS === null || sentBytes === 0 ? null : ((elapsedS + (leftS ?? 0)) * bytesPerS) / sentBytes;
}

// Rates over time as the server keeps them: averages over slots of one length, which becomes longer as a run does.

import type { Rates } from "../live/types";

/** When each slot begins, and then one list for each kind of value; null where nothing is known. */
export type Columns = [number[], ...(number | null)[][]];

/** Slots in their order, with nothing in those between that nothing is known of. */
export function columnsOf({ since, step_s, samples }: Rates, kinds: number): Columns {
  const known = Object.keys(samples).map(Number);
  const slots = Array.from({ length: known.length === 0 ? 0 : Math.max(...known) + 1 }, (_, at) => at);
  const values = Array.from({ length: kinds }, (_, kind) => slots.map((at) => samples[at]?.[kind] ?? null));
  return [slots.map((at) => since + at * step_s), ...values];
}

/** When the last slot begins that is known: what comes later, or may still change, is not. */
export function knownUntil({ since, step_s, samples }: Rates): number {
  return since + step_s * Math.max(0, ...Object.keys(samples).map(Number));
}

/** What is known with what came later; null where that is of another run, or in longer slots. */
export function joined(known: Rates, later: Rates): Rates | null {
  if (known.since !== later.since || known.step_s !== later.step_s) return null;
  return { ...later, samples: { ...known.samples, ...later.samples } };
}

/** Average of what is known; all slots are of one length. */
export function average(values: (number | null)[] | undefined): number {
  const known = (values ?? []).filter((value) => value !== null);
  return known.reduce((sum, value) => sum + value, 0) / Math.max(1, known.length);
}

/** Some of so many places, evenly from the first to the last. */
export function spread(length: number, most: number): number[] {
  if (length <= most) return Array.from({ length }, (_, at) => at);
  return Array.from({ length: most }, (_, at) => Math.round((at * (length - 1)) / (most - 1)));
}

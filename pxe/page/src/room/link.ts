// What the links of a room carry, in megabits a second.

import type { Machine } from "../live/types";

/** Rates that links usually have. */
export const LINKS = [100, 1000, 2500, 10_000];
/** Where no machine says. */
const GUESS = 1000;
/** A rate is common when this share of those who say one has it: a single bad cable does not make the room's. */
const COMMON = 0.1;

/** The slowest common one, by the fastest card of each machine that has a link. */
export function usualLink(machines: Machine[]): number {
  const rates = new Map<number, number>();
  let said = 0;
  for (const { cards = [] } of machines) {
    const rate = Math.max(0, ...cards.map(({ link, speed_mbps }) => (link && speed_mbps) || 0));
    if (rate === 0) continue;
    said += 1;
    rates.set(rate, (rates.get(rate) ?? 0) + 1);
  }
  const common = [...rates].filter(([, machines]) => machines >= COMMON * said).map(([rate]) => rate);
  return common.length > 0 ? Math.min(...common) : GUESS;
}

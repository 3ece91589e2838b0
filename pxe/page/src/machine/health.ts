// What disks say of their own health, in words.

import type { Disk, Health, Machine } from "../live/types";
import { count } from "../words";

/** Disks that say that they are failing, and why, a line each. */
export const failing = ({ inventory }: Machine): string[] =>
  inventory.flatMap(({ path, model, health }) =>
    health && health.failing.length > 0
      ? [`${[path, model].filter(Boolean).join(" ")}: ${health.failing.join("; ")}`]
      : [],
  );

/** How a disk is, with the numbers that tell; null where it says nothing. */
export function healthOf({ health }: Disk): string | null {
  if (!health) return null;
  const verdict = health.failing.length > 0 ? `failing: ${health.failing.join("; ")}` : "good";
  return `Health: ${[verdict, ...NUMBERS.flatMap((number) => number(health) ?? [])].join(", ")}`;
}

const NUMBERS: ((health: Health) => string | undefined)[] = [
  ({ power_on_hours: hours }) => said(hours, (hours) => `switched on for ${count(hours, "hour")}`),
  ({ temperature_celsius: warm }) => said(warm, (warm) => `${warm} °C`),
  ({ endurance_used_percent: used }) => said(used, (used) => `${used} % of its writes used`),
  ({ spare_percent: spare, spare_threshold_percent: least = 0 }) =>
    said(spare, (spare) => `${spare} % of spare blocks left (at least ${least} %)`),
  ({ media_errors: errors }) => said(errors, (errors) => count(errors, "media error")),
  ({ reallocated_sectors: sectors }) => said(sectors, (sectors) => `${count(sectors, "sector")} replaced`),
];

const said = (number: number | undefined, words: (number: number) => string) =>
  number === undefined ? undefined : words(number);

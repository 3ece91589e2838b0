// How machines, states, sizes and times are called.

import type { Card, Kind, Machine, Moment } from "./live/types";

const STATES: Record<string, string> = {
  again: "to be deployed again",
  booting: "booting",
  started: "init runs",
  waiting: "waits for somebody's word",
  planned: "about to write",
  working: "receiving",
  received: "writing and verifying",
  verified: "writing table and boot code",
  deployed: "deployed",
  seeding: "deployed, serves others",
  done: "done, boots from its disk",
  failed: "failed",
};

export const MOMENTS: Record<Moment, string> = {
  "first-seen": "first seen",
  booting: "asked to boot",
  kernel: "kernel started",
  started: "init ran",
  waiting: "asked for somebody's word",
  planned: "disks chosen, plan made",
  "first-byte": "first data arrived",
  "last-byte": "all data arrived",
  verified: "all verified and synced",
  deployed: "table and boot code written",
  seeding: "began to serve others",
  proved: "disk read back, as it should be",
  done: "done",
  failed: "failed",
};

/** Host name if it is known, else serial number, else MAC address. */
export const nameOf = (machine: Machine): string =>
  machine.hostname ?? machine.machine.serial ?? machine.machine.macs[0] ?? machine.id;

/** A card, and the rate of its link where that is known. */
export function cardOf({ mac, link, speed_mbps }: Card): string {
  if (!link) return `${mac}: no link`;
  if (speed_mbps === undefined) return `${mac}: linked`;
  return `${mac}: ${linkRate(speed_mbps)}`;
}

/** The rate of a link, from megabits a second. */
export const linkRate = (mbps: number): string => (mbps < 1000 ? `${mbps} Mbit/s` : `${mbps / 1000} Gbit/s`);

export const stateOf = (machine: Machine): string => STATES[machine.state] ?? machine.state;

/** The same five as the server counts. */
export function kindOf(machine: Machine): Kind {
  if (machine.silent) return "silent";
  if (machine.state === "done" || machine.state === "failed") return machine.state;
  return ["again", "booting", "waiting"].includes(machine.state) ? "waiting" : "working";
}

export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 100 ? 1 : 0)} ${units[unit]}`;
}

export const rate = (bytesPerSecond: number): string => `${size(bytesPerSecond)}/s`;

export function span(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

export const count = (n: number, word: string): string => `${n} ${word}${n === 1 ? "" : "s"}`;

export const timeOfDay = (seconds: number): string => new Date(seconds * 1000).toLocaleTimeString();

/** Time of day, with the date where that is not today's. */
export function clock(seconds: number): string {
  const date = new Date(seconds * 1000);
  const time = timeOfDay(seconds);
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}

/** To the minute, with the day. */
export const dateTime = (seconds: number): string =>
  new Date(seconds * 1000).toLocaleString(undefined, {
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  });

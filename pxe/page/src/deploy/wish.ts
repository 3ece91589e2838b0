// What is to be deployed, as it is set in the form, and as the server takes it.

import type { Room } from "../live/types";

export const DAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
const DAY_WORDS = ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"];

/** What machines do after a good run, as ezio.conf calls it; in the words of the page. */
export const ENDS: Record<string, string> = {
  reboot: "reboot",
  poweroff: "switch off",
  shell: "wait with a shell",
  hold: "wait",
};

/** As the server takes and keeps it. */
export type Meant = "all" | string[] | { group: string };

export interface Wish {
  machines: Meant;
  /** Nothing: as ezio.conf says. */
  image?: string;
  then?: string;
  wake: boolean;
  approve: boolean;
}

/** What stands in the form. */
export interface Draft {
  /** `all`, `chosen`, or `group:NAME`. */
  who: string;
  image: string;
  end: string;
  wake: boolean;
  approve: boolean;
  when: "now" | "once" | "weekly";
  /** For once: by the clock of this computer. */
  at: string;
  /** For weekly: by the clock of the server. */
  days: string[];
  time: string;
}

export const NOTHING: Draft = {
  who: "all",
  image: "",
  end: "",
  wake: false,
  approve: false,
  when: "now",
  at: "",
  days: [],
  time: "",
};

const GROUP = "group:";
/** What the server calls the end of a run; an object that says so in its own words looks like a promise. */
const END = "then";

export const groupChoice = (name: string) => `${GROUP}${name}`;

/** `chosen` are ids. */
export function wishOf(draft: Draft, chosen: string[]): Wish {
  const { who, image, end, wake, approve } = draft;
  const machines: Meant = who === "all" ? who : who === "chosen" ? chosen : { group: who.slice(GROUP.length) };
  return { machines, ...(image && { image }), ...(end && { [END]: end }), wake, approve };
}

/** When it begins; null: now. A text says what is missing. */
export function whenOf({ when, at, days, time }: Draft): { at: string } | { cron: string } | null | string {
  if (when === "now") return null;
  if (when === "once") return at ? { at: new Date(at).toISOString() } : "Say at which time.";
  const [hour, minute] = time.split(":").map(Number);
  if (hour === undefined || minute === undefined || days.length === 0) return "Say on which days, and at which time.";
  return { cron: `${minute} ${hour} * * ${days.length === DAYS.length ? "*" : days.join(",")}` };
}

/** A cron expression in words, where the form can make it; else as it is. */
export function repeats(cron: string): string {
  const [, minute, hour, days] = /^(\d+) (\d+) \* \* ([A-Z,]+|\*)$/.exec(cron) ?? [];
  if (minute === undefined || hour === undefined || days === undefined) return `by “${cron}”`;
  const words = days.split(",").map((day) => DAY_WORDS[DAYS.indexOf(day)] ?? day);
  const on = days === "*" ? "every day" : words.join(", ");
  return `${on} at ${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`;
}

/** In what a wish differs from ezio.conf. */
export function inWords({ image, then }: { image?: string; then?: string }): string {
  const words = [image && `image ${image}`, then && `then ${ENDS[then] ?? then}`];
  return words.filter(Boolean).join(", ") || "as ezio.conf says";
}

/** Names that an order may give: a set has one for all its disks, `SET`, and one for each, `SET/DISK`. */
export function imageNames({ images }: Room): string[] {
  const names = images.flatMap(({ name }) => (name.includes("/") ? [name.split("/")[0] ?? name, name] : [name]));
  return [...new Set(names)];
}

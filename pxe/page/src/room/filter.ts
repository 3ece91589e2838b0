// Which machines are shown, and in which order.

import type { Kind, Machine } from "../live/types";
import { kindOf, nameOf, stateOf } from "../words";

export interface Filter {
  text: string;
  kind: Kind | "all";
  image: string;
  group: string;
}

export const EVERYTHING: Filter = { text: "", kind: "all", image: "", group: "" };

/** Every word of the text is in what the page knows of the machine by name. */
function says(machine: Machine, words: string[]): boolean {
  const { serial, uuid, product, macs } = machine.machine;
  const all = [
    nameOf(machine),
    machine.group,
    serial,
    uuid,
    product,
    ...macs,
    machine.address,
    machine.image,
    stateOf(machine),
  ];
  const text = all.join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

export function filtered(machines: Machine[], { text, kind, image, group }: Filter): Machine[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return machines.filter(
    (machine) =>
      (kind === "all" || kindOf(machine) === kind) &&
      (image === "" || machine.image === image) &&
      (!group || machine.group === group) &&
      (words.length === 0 || says(machine, words)),
  );
}

/** Groups that machines belong to, and how many of them do. */
export function groupsOf(machines: Machine[]): [string, number][] {
  const groups = new Map<string, number>();
  for (const { group } of machines) if (group) groups.set(group, (groups.get(group) ?? 0) + 1);
  return [...groups].sort(([a], [b]) => byName.compare(a, b));
}

/** Numbers in names count as such. */
export const byName = new Intl.Collator(undefined, { numeric: true });
let names = new Map<string, string>();
let order: string[] = [];

/** By name, so that a machine stays where it is while it works. Names are compared only when one of them is new. */
export function inOrder(machines: Record<string, Machine>): Machine[] {
  const all = Object.values(machines);
  if (all.length !== names.size || all.some((machine) => names.get(machine.id) !== nameOf(machine))) {
    names = new Map(all.map((machine) => [machine.id, nameOf(machine)]));
    order = [...names.entries()].sort((a, b) => byName.compare(a[1], b[1])).map(([id]) => id);
  }
  return order.map((id) => machines[id]).filter((machine) => machine !== undefined);
}

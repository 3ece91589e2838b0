// What can be done to machines, and how it is said to the server.

import type { Machine } from "../live/types";
import { nameOf } from "../words";
import { batches, send } from "./send";

export type Act = "again" | "approve" | "wake" | "cancel" | "hold" | "restart" | "poweroff" | "forget";

export interface Wording {
  title: string;
  /** What becomes of the machines and their disks. */
  text: string;
  /** The disks are named: what is on them goes. */
  erases: boolean;
  fits: (machine: Machine) => boolean;
}

const runs = (machine: Machine) => !["again", "booting", "waiting", "failed", "done"].includes(machine.state);

/** Init is there, and hears what it is told with its next report. */
export const isUp = (machine: Machine) => {
  const holds = machine.state === "failed" && machine.next?.startsWith("hold");
  return (runs(machine) || machine.state === "waiting" || holds === true) && !machine.silent;
};

export const ACTS: Record<Act, Wording> = {
  again: {
    title: "Deploy again",
    text: "At their next network boot these machines are deployed once more. That erases their disks:",
    erases: true,
    fits: (machine) => machine.state !== "again" && machine.state !== "waiting",
  },
  approve: {
    title: "Approve",
    text: "These machines go on at once, and what is on their disks is lost:",
    erases: true,
    fits: (machine) => machine.state === "waiting" || machine.held,
  },
  wake: {
    title: "Wake",
    text: "Packets that switch machines on go to all cards that are known of these. Their firmware has to have Wake-on-LAN switched on.",
    erases: false,
    fits: (machine) => machine.machine.macs.length > 0 && (!runs(machine) || machine.silent),
  },
  cancel: {
    title: "Take back the order",
    text: "What was ordered for these machines beside ezio.conf, and has not begun, does not happen.",
    erases: false,
    fits: (machine) => machine.order != null,
  },
  hold: {
    title: "Hold",
    text: "Nothing of these machines is overwritten until they are approved; who is being written is held afterwards.",
    erases: false,
    fits: (machine) => !machine.held,
  },
  restart: {
    title: "Restart",
    text: "These machines leave all as it is, and restart. A disk that is being written does not start until it is deployed again.",
    erases: false,
    fits: isUp,
  },
  poweroff: {
    title: "Switch off",
    text: "These machines leave all as it is, and are switched off. A disk that is being written does not start until it is deployed again.",
    erases: false,
    fits: isUp,
  },
  forget: {
    title: "Forget",
    text: "The server forgets these machines and what it knows of their disks. They come back as strangers.",
    erases: false,
    fits: (machine) => !runs(machine) || machine.silent,
  },
};

/** In the order of their buttons. */
export const ALL_ACTS = Object.keys(ACTS) as Act[];

/** What is lost if a machine is deployed: its disks, and what they hold. */
export function atStake(machine: Machine): string {
  const holds = (disk: string) => {
    const known = machine.inventory.find(({ path }) => disk === path || disk.startsWith(`${path} `));
    if (!known) return disk;
    return `${disk}: ${known.holds.blank ? "blank" : known.holds.lines?.join(", ")}`;
  };
  if (machine.state === "waiting" && machine.waiting_for.length > 0) return machine.waiting_for.join("; ");
  return machine.disks.map(holds).join("; ") || "its disk, as ezio.conf chooses it";
}

interface Acted {
  machines: { id: string; done: boolean; what: string }[];
}

/** Says it to the server; what was not done comes back as text. */
export async function carryOut(act: Act | "console", machines: Machine[]): Promise<string | null> {
  const refused: string[] = [];
  for (const asked of batches(machines)) {
    const { error, answer } = await send("POST", `api/${act}`, { machines: asked.map(({ id }) => id) });
    if (error !== null) return error;
    for (const { id, done, what } of (answer as Acted).machines) {
      const machine = asked.find((machine) => machine.id === id);
      if (!done) refused.push(`${machine ? nameOf(machine) : id} ${what}`);
    }
  }
  return refused.length > 0 ? refused.join("; ") : null;
}

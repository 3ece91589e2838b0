// What can be done to machines, and how it is said to the server.

import type { Machine } from "../live/types";
import { send } from "./send";

export type Act = "again";

export interface Wording {
  title: string;
  /** What becomes of the machines' disks. */
  erases: boolean;
  text: string;
  button: string;
}

export const ACTS: Record<Act, Wording> = {
  again: {
    title: "Deploy again",
    erases: true,
    text: "At its next network boot each of these machines is deployed once more. That erases these disks:",
    button: "Deploy again",
  },
};

/** Says it to the server; what went wrong comes back as text. */
export async function carryOut(act: Act, machines: Machine[]): Promise<string | null> {
  return send("POST", `api/${act}`, { machines: machines.map(({ id }) => id) });
}

/** The commands that do the same. */
export const commands = (act: Act, machines: Machine[]): string =>
  machines.map(({ id }) => `ezio-pxe ${act} '${id.replaceAll("'", "'\\''")}'`).join("\n");

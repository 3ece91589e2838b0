// What is said to the server of a deployment, and what it answers.

import { type Answer, batches, send } from "../acts/send";
import type { Plan } from "./plan";
import type { Wish } from "./wish";

export interface Acted {
  machines: { id: string; done: boolean; what: string }[];
  /** Names that are no machine's. */
  unknown: string[];
}

/** One wish in as many as there are requests. */
const parts = (wish: Wish): Wish[] =>
  Array.isArray(wish.machines) ? batches(wish.machines).map((machines) => ({ ...wish, machines })) : [wish];

async function all<T>(address: string, wish: Wish): Promise<Answer<T[]>> {
  const value: T[] = [];
  for (const part of parts(wish)) {
    const { error, answer } = await send("POST", address, part);
    if (error !== null) return { value: null, error };
    value.push(answer as T);
  }
  return { value, error: null };
}

/** What would become of the machines. */
export async function supposed(wish: Wish): Promise<Answer<Plan>> {
  const { value, error } = await all<Plan>("api/deploy/plan", wish);
  if (value === null) return { value, error };
  return { value: { machines: value.flatMap(({ machines }) => machines) }, error };
}

/** Has it done now. */
export async function give(wish: Wish): Promise<Answer<Acted>> {
  const { value, error } = await all<Acted>("api/deploy", wish);
  if (value === null) return { value, error };
  const machines = value.flatMap(({ machines }) => machines);
  return { value: { machines, unknown: value.flatMap(({ unknown }) => unknown) }, error };
}

/** Keeps it for later; answers when it is carried out next, in seconds since 1970. */
export async function keep(wish: Wish, when: object): Promise<Answer<number>> {
  const { error, answer } = await send("POST", "api/schedules", { ...wish, ...when });
  return error === null ? { value: (answer as { next: number }).next, error } : { value: null, error };
}

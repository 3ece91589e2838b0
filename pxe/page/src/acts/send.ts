import type { Mistake } from "../conf/mistakes";

/** Machines in one request: what the server reads of a body holds the ids of some 1,000. */
const AT_ONCE = 500;

/** The same in as many lists as there are requests. */
export const batches = <T>(all: T[]): T[][] =>
  Array.from({ length: Math.ceil(all.length / AT_ONCE) }, (_, at) => all.slice(at * AT_ONCE, (at + 1) * AT_ONCE));

export interface Sent {
  /** What went wrong. */
  error: string | null;
  /** What the server said, if it said anything. */
  answer: unknown;
}

/** Why the server refused, as a sentence; where names are nobody's, or a text is wrong, it says which, and where. */
function refusal(text: string): string {
  try {
    const { unknown, mistakes } = JSON.parse(text);
    if (mistakes) return mistakes.map(({ line, message }: Mistake) => `Line ${line}: ${message}.`).join(" ");
    return `No machine is called ${unknown.join(", ")}.`;
  } catch {
    return text.trim();
  }
}

/** Says something to the server, or asks it. */
export async function send(
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  address: string,
  body?: unknown,
): Promise<Sent> {
  try {
    const answer = await fetch(address, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
    const text = await answer.text();
    return answer.ok ? { error: null, answer: text && JSON.parse(text) } : { error: refusal(text), answer: null };
  } catch (error) {
    return { error: `The server did not answer (${error}). Try again.`, answer: null };
  }
}

/** An answer, or why there is none. */
export type Answer<T> = { value: T; error: null } | { value: null; error: string };

/** Asks the server for something. */
export async function ask<T>(address: string): Promise<Answer<T>> {
  const { error, answer } = await send("GET", address);
  return error === null ? { value: answer as T, error } : { value: null, error };
}

// Who looks at this page, as the server knows it.

export type Role = "viewer" | "operator" | "administrator";

export interface Caller {
  name: string;
  role: Role;
  /** How it is known: only a session can be ended. */
  by: "session" | "token" | "local" | "no-auth";
}

/** Acts on machines are for operators and administrators. */
export const mayAct = (caller: Caller) => caller.role !== "viewer";

/** Accounts, tokens, the audit log and ezio.conf are for administrators. */
export const isAdministrator = (caller: Caller) => caller.role === "administrator";

/** Asks the server; null: it wants a login first. An error is thrown where there is no answer. */
export async function whoAmI(): Promise<Caller | null> {
  const answer = await fetch("api/me", { signal: AbortSignal.timeout(20_000) });
  if (answer.status === 401) return null;
  if (!answer.ok) throw new Error(`${answer.status}`);
  return await answer.json();
}

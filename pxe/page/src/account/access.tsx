// Who may what, for administrators: accounts, tokens, and what was done.

import { Accounts } from "./accounts";
import { Audit } from "./audit";
import type { Caller } from "./caller";
import { Tokens } from "./tokens";

export function AccessView({ caller }: { caller: Caller }) {
  if (caller.role !== "administrator") return <p>Only administrators see who may what.</p>;
  return (
    <>
      <h1>Access</h1>
      <Accounts caller={caller} />
      <Tokens />
      <Audit />
    </>
  );
}

// Accounts of people: made, changed and removed.

import { useState } from "preact/hooks";
import { send } from "../acts/send";
import { connect } from "../live/connection";
import { Ask } from "../widgets/ask";
import { useAsked } from "../widgets/asked";
import type { Typed } from "../widgets/go";
import { Table } from "../widgets/table";
import { clock } from "../words";
import type { Caller, Role } from "./caller";
import { Name, Password, RoleField, Whose } from "./fields";

interface Account {
  name: string;
  role: Role;
  /** Seconds since 1970. */
  created: number;
}

/** What is being changed. */
type Change = { what: "add" } | { what: "role" | "password" | "remove"; account: Account };

export function Accounts({ caller }: { caller: Caller }) {
  const { value: accounts, error, again } = useAsked<Account[]>("api/users");
  const [change, setChange] = useState<Change | null>(null);
  const go = async (typed: Typed) => {
    if (change === null) return null;
    const error = await carryOut(change, typed);
    if (error !== null) return error;
    // Who has changed what is their own sees and may other things now.
    if (change.what !== "add" && change.account.name === caller.name) await connect();
    await again();
    return null;
  };
  const button = (what: "role" | "password" | "remove", title: string, label: string, account: Account) => (
    <button type="button" aria-label={`${label} ${account.name}…`} onClick={() => setChange({ what, account })}>
      {title}…
    </button>
  );
  return (
    <section class="card" aria-labelledby="accounts">
      <h2 id="accounts">Accounts</h2>
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      <Table label="All accounts" head={["Name", "Role", "Made", "Change"]}>
        {accounts?.map((account) => (
          <tr key={account.name}>
            <th scope="row">{account.name}</th>
            <td>{account.role}</td>
            <td>{clock(account.created)}</td>
            <td>
              <span class="buttons">
                {button("role", "Role", "Role of", account)}
                {button("password", "Password", "Password of", account)}
                {button("remove", "Remove", "Remove", account)}
              </span>
            </td>
          </tr>
        ))}
      </Table>
      <p class="buttons">
        <button type="button" onClick={() => setChange({ what: "add" })}>
          New account…
        </button>
      </p>
      {change && <AskChange change={change} onGo={go} onClose={() => setChange(null)} />}
    </section>
  );
}

/** Says it to the server; answers why it was not done. */
async function carryOut(change: Change, typed: Typed): Promise<string | null> {
  if (change.what === "add") return (await send("POST", "api/users", typed)).error;
  const address = `api/users/${encodeURIComponent(change.account.name)}`;
  const sent = change.what === "remove" ? send("DELETE", address) : send("PATCH", address, typed);
  return (await sent).error;
}

interface AskProps {
  change: Change;
  onGo: (typed: Typed) => Promise<string | null>;
  onClose: () => void;
}

function AskChange({ change, ...ask }: AskProps) {
  switch (change.what) {
    case "add":
      return (
        <Ask title="New account" act="Make it" danger={false} {...ask}>
          <div class="fields">
            <Name kind="off" />
            <RoleField chosen="operator" />
            <Password name="password" label="Password" kind="new-password" />
          </div>
        </Ask>
      );
    case "role":
      return (
        <Ask title={`Role of ${change.account.name}`} act="Change it" danger={false} {...ask}>
          <div class="fields">
            <RoleField chosen={change.account.role} />
          </div>
        </Ask>
      );
    case "password":
      return (
        <Ask title={`New password for ${change.account.name}`} act="Set it" danger={false} {...ask}>
          <div class="fields">
            <Whose name={change.account.name} />
            <Password name="password" label="Password" kind="new-password" />
            <p>Wherever {change.account.name} is logged in, that ends.</p>
          </div>
        </Ask>
      );
    case "remove":
      return (
        <Ask title={`Remove ${change.account.name}`} act="Remove" danger={true} {...ask}>
          <p>Wherever {change.account.name} is logged in, that ends. What was done stays in the audit log.</p>
        </Ask>
      );
  }
}

// Tokens of programs: made, shown once, and revoked.

import { useState } from "preact/hooks";
import { send } from "../acts/send";
import { serverNow } from "../live/connection";
import { Ask } from "../widgets/ask";
import { useAsked } from "../widgets/asked";
import type { Typed } from "../widgets/go";
import { Table } from "../widgets/table";
import { clock } from "../words";
import type { Role } from "./caller";
import { Name, RoleField } from "./fields";

interface Token {
  name: string;
  role: Role;
  /** Seconds since 1970, as all times. */
  created: number;
  until?: number;
  expired: boolean;
  /** None: not since the server started. */
  used?: number;
}

const DAY_S = 86_400;

export function Tokens() {
  const { value: tokens, error, again } = useAsked<Token[]>("api/tokens");
  const [asks, ask] = useState<Token | "new" | null>(null);
  const [made, setMade] = useState<{ name: string; token: string } | null>(null);
  const make = async ({ name = "", role, days }: Typed) => {
    const until = days ? serverNow() + Number(days) * DAY_S : undefined;
    const { error, answer } = await send("POST", "api/tokens", { name, role, until });
    if (error !== null) return error;
    setMade({ name, ...(answer as { token: string }) });
    await again();
    return null;
  };
  const revoke = async ({ name }: Token) => {
    const { error } = await send("DELETE", `api/tokens/${encodeURIComponent(name)}`);
    if (error !== null) return error;
    if (made?.name === name) setMade(null);
    await again();
    return null;
  };
  return (
    <section class="card" aria-labelledby="tokens">
      <h2 id="tokens">Tokens of programs</h2>
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      <Table label="All tokens" head={["Name", "Role", "Made", "Last used", "Counts until", "Change"]}>
        {tokens?.map((token) => (
          <tr key={token.name}>
            <th scope="row">{token.name}</th>
            <td>{token.role}</td>
            <td>{clock(token.created)}</td>
            <td>{token.used ? clock(token.used) : "not since the server started"}</td>
            <td>{untilOf(token)}</td>
            <td>
              <button type="button" aria-label={`Revoke ${token.name}…`} onClick={() => ask(token)}>
                Revoke…
              </button>
            </td>
          </tr>
        ))}
      </Table>
      <p class="buttons">
        <button type="button" onClick={() => ask("new")}>
          New token…
        </button>
      </p>
      <div role="status">{made && <p>Token {made.name} is made. It is shown this once, and kept nowhere:</p>}</div>
      {made && <Made {...made} />}
      {asks === "new" && (
        <Ask title="New token" act="Make it" danger={false} onGo={make} onClose={() => ask(null)}>
          <div class="fields">
            <Name kind="off" />
            <RoleField chosen="viewer" />
            <label>
              Days that it counts (nothing: for ever)
              <input name="days" type="number" min={1} max={36_500} />
            </label>
          </div>
        </Ask>
      )}
      {asks !== null && asks !== "new" && (
        <Ask
          title={`Revoke ${asks.name}`}
          act="Revoke"
          danger={true}
          onGo={() => revoke(asks)}
          onClose={() => ask(null)}
        >
          <p>Programs that show this token get in no more.</p>
        </Ask>
      )}
    </section>
  );
}

function untilOf({ until, expired }: Token): string {
  if (until === undefined) return "always";
  return expired ? `${clock(until)} (has ended)` : clock(until);
}

/** A token, ready to be copied. */
function Made({ name, token }: { name: string; token: string }) {
  return (
    <p class="fields">
      <label>
        Token {name}
        <input type="text" value={token} onFocus={(event) => event.currentTarget.select()} readOnly />
      </label>
    </p>
  );
}

// The own account: who I am here, and another password.

import { useState } from "preact/hooks";
import { send } from "../acts/send";
import { connect } from "../live/connection";
import { type Typed, useGo } from "../widgets/go";
import type { Caller } from "./caller";
import { Password, Whose } from "./fields";

export function AccountView({ caller }: { caller: Caller }) {
  return (
    <>
      <h1>
        {caller.name}, {caller.role}
      </h1>
      {caller.by === "session" ? <OwnPassword name={caller.name} /> : <p>Nobody has to log in to this server.</p>}
    </>
  );
}

function OwnPassword({ name }: { name: string }) {
  /** So often it was changed: each time the form begins anew. */
  const [changed, setChanged] = useState(0);
  const done = () => {
    setChanged(changed + 1);
    // The session is a new one.
    connect();
  };
  return (
    <>
      <PasswordForm key={changed} name={name} onDone={done} />
      <div role="status">{changed > 0 && <p>The password is changed. Elsewhere this account is logged out.</p>}</div>
    </>
  );
}

async function change({ old, new: wanted, again }: Typed): Promise<string | null> {
  if (wanted !== again) return "The new password is not twice the same.";
  return (await send("POST", "api/password", { old, new: wanted })).error;
}

function PasswordForm({ name, onDone }: { name: string; onDone: () => void }) {
  const { busy, error, submit } = useGo(change, onDone);
  return (
    <form class="card fields" aria-labelledby="password" onSubmit={submit}>
      <h2 id="password">Change the password</h2>
      <Whose name={name} />
      <Password name="old" label="The password that it has" kind="current-password" />
      <Password name="new" label="The new one" kind="new-password" />
      <Password name="again" label="The new one once more" kind="new-password" />
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      <button type="submit" disabled={busy}>
        Change the password
      </button>
    </form>
  );
}

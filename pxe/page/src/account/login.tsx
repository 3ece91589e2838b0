// How somebody comes in: by name and password, or by the link that makes the first administrator.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { send } from "../acts/send";
import { connect } from "../live/connection";

/** Shortest password that the server takes. */
const SHORTEST = 12;

export function Login() {
  return (
    <Entry title="Log in" address="api/login" more={{}}>
      <Name />
      <Password kind="current-password" />
    </Entry>
  );
}

/** `link` is the secret of the address that the server has printed. */
export function FirstAccount({ link }: { link: string }) {
  return (
    <Entry title="Make the first account" address="api/first" more={{ link }}>
      <p>This account is an administrator of this server: it makes the others. The link works once.</p>
      <Name />
      <Password kind="new-password" />
    </Entry>
  );
}

interface EntryProps {
  title: string;
  address: string;
  /** What is sent along with what is typed. */
  more: object;
  children: ComponentChildren;
}

function Entry({ title, address, more, children }: EntryProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const go = async (event: SubmitEvent) => {
    event.preventDefault();
    const typed = Object.fromEntries(new FormData(event.currentTarget as HTMLFormElement));
    setBusy(true);
    const { error } = await send("POST", address, { ...more, ...typed });
    setBusy(false);
    setError(error);
    if (error !== null) return;
    if (location.hash.startsWith("#/first/")) {
      // The link is used up, and stays in no history.
      history.replaceState(null, "", "#/");
      dispatchEvent(new HashChangeEvent("hashchange"));
    }
    connect();
  };
  return (
    <form class="card entry" aria-labelledby="entry" onSubmit={go}>
      <h1 id="entry">{title}</h1>
      {children}
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      <button type="submit" disabled={busy}>
        {title}
      </button>
    </form>
  );
}

function Name() {
  return (
    <label>
      Name
      <input name="name" type="text" autocomplete="username" autocapitalize="none" spellcheck={false} required />
    </label>
  );
}

/** `kind` is what a browser fills in. */
function Password({ kind }: { kind: "current-password" | "new-password" }) {
  const isNew = kind === "new-password";
  return (
    <label>
      {isNew ? `Password, ${SHORTEST} characters or more` : "Password"}
      <input name="password" type="password" autocomplete={kind} minLength={isNew ? SHORTEST : undefined} required />
    </label>
  );
}

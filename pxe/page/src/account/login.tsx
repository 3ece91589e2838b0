// How somebody comes in: by name and password, or by the link that makes the first administrator.

import type { ComponentChildren } from "preact";
import { send } from "../acts/send";
import { connect } from "../live/connection";
import { type Typed, useGo } from "../widgets/go";
import { Name, Password } from "./fields";

export function Login() {
  return (
    <Entry title="Log in" address="api/login" more={{}}>
      <Name kind="username" />
      <Password name="password" label="Password" kind="current-password" />
    </Entry>
  );
}

/** `link` is the secret of the address that the server has printed. */
export function FirstAccount({ link }: { link: string }) {
  return (
    <Entry title="Make the first account" address="api/first" more={{ link }}>
      <p>This account is an administrator of this server: it makes the others. The link works once.</p>
      <Name kind="username" />
      <Password name="password" label="Password" kind="new-password" />
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
  const enter = async (typed: Typed) => (await send("POST", address, { ...more, ...typed })).error;
  const entered = () => {
    if (location.hash.startsWith("#/first/")) {
      // The link is used up, and stays in no history.
      history.replaceState(null, "", "#/");
      dispatchEvent(new HashChangeEvent("hashchange"));
    }
    connect();
  };
  const { busy, error, submit } = useGo(enter, entered);
  return (
    <form class="card fields entry" aria-labelledby="entry" onSubmit={submit}>
      <h1 id="entry">{title}</h1>
      {children}
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      <button type="submit" disabled={busy}>
        {title}
      </button>
    </form>
  );
}

// Who I am, in the head of the page, and the way out.

import { send } from "../acts/send";
import { disconnect } from "../live/connection";
import type { Caller } from "./caller";

export function Who({ caller }: { caller: Caller }) {
  const leave = async () => {
    const { error } = await send("POST", "api/logout", {});
    if (error === null) disconnect();
  };
  return (
    <span class="who">
      <a href="#/account">
        {caller.name}, {caller.role}
      </a>
      {caller.by === "session" && (
        <button type="button" onClick={leave}>
          Log out
        </button>
      )}
    </span>
  );
}

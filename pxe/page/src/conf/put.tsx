// Puts a text that was looked at in the place of the ezio.conf that holds.

import { useState } from "preact/hooks";
import { send } from "../acts/send";
import { lostBy, type Plan } from "../deploy/plan";
import { Ask } from "../widgets/ask";
import { count } from "../words";
import type { Conf } from "./view";

interface Props {
  text: string;
  /** The version of the text that it replaces. */
  replaces: string;
  plan: Plan;
  /** It holds now, as this version; null: it was refused. */
  onDone: (version: string | null) => Promise<void>;
}

export function PutInPlace({ text, replaces, plan, onDone }: Props) {
  const [asks, setAsks] = useState(false);
  const put = async () => {
    const { error, answer } = await send("PUT", "api/conf", { text, replaces });
    await onDone(error === null ? (answer as Conf).version : null);
    return error;
  };
  const lost = lostBy(plan).length;
  return (
    <>
      <button type="button" onClick={() => setAsks(true)}>
        Put in place…
      </button>
      {asks && (
        <Ask
          title="Put this ezio.conf in place"
          act="Put in place"
          danger={lost > 0}
          onGo={put}
          onClose={() => setAsks(false)}
        >
          <p>
            It holds at once, for each machine that starts from the network from now on: for{" "}
            {count(plan.machines.length, "known machine")}, and for those that were never seen. Those that are being
            deployed go on as they began.
          </p>
          {lost > 0 && <p class="error">{count(lost, "disk")} with data would be written by it.</p>}
          <p>The text that holds now stays beside the file, under its name with .before at the end.</p>
        </Ask>
      )}
    </>
  );
}

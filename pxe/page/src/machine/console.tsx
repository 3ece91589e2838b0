// What stands on a machine's console: as it was when the machine failed, or when somebody asked for it.

import { useEffect, useState } from "preact/hooks";
import { carryOut, isUp } from "../acts/acts";
import type { Machine } from "../live/types";
import { clock } from "../words";

export function Console({ machine, mayAct }: { machine: Machine; mayAct: boolean }) {
  const [text, show] = useState("");
  const [said, say] = useState("");
  const { id, console_at: at } = machine;
  useEffect(() => {
    show("");
    say("");
    if (at == null) return;
    const given = new AbortController();
    fetch(`api/console/${encodeURIComponent(id)}`, { signal: given.signal })
      .then((answer) => (answer.ok ? answer.text() : ""))
      // Whoever has no console of it is told nothing: the error stands above.
      .then(show, () => {});
    return () => given.abort();
  }, [id, at]);
  const ask = async () => {
    say("Asked: it comes with the machine's next report.");
    const failed = await carryOut("console", [machine]);
    if (failed !== null) say(failed);
  };
  const mayAsk = mayAct && isUp(machine);
  if (text === "" && !mayAsk) return null;
  return (
    <section class="card console" aria-label="Its console">
      <h2>Its console</h2>
      {at != null && <p class="dim">As it was at {clock(at)}</p>}
      {/* Scrolled by keyboard too. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached */}
      {text !== "" && <pre tabIndex={0}>{text}</pre>}
      {mayAsk && (
        <p class="buttons">
          <button type="button" onClick={ask}>
            Ask for its console
          </button>
        </p>
      )}
      <p role="status">{said}</p>
    </section>
  );
}

// What stood on a machine's console when it failed.

import { useEffect, useState } from "preact/hooks";
import type { Machine } from "../live/types";

export function Console({ machine }: { machine: Machine }) {
  const [text, show] = useState("");
  const { id, error } = machine;
  const failed = machine.times.failed;
  useEffect(() => {
    show("");
    if (!error || failed === undefined) return;
    const given = new AbortController();
    fetch(`api/console/${encodeURIComponent(id)}`, { signal: given.signal })
      .then((answer) => (answer.ok ? answer.text() : ""))
      // Whoever has no console of it is told nothing: the error stands above.
      .then(show, () => {});
    return () => given.abort();
  }, [id, error, failed]);
  if (text === "") return null;
  return (
    <section class="card console" aria-label="Its console">
      <h2>Its console</h2>
      {/* Scrolled by keyboard too. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached */}
      <pre tabIndex={0}>{text}</pre>
    </section>
  );
}

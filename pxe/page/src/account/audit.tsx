// Who did what, the newest first, and more of it on demand.

import { useCallback, useEffect, useState } from "preact/hooks";
import { send } from "../acts/send";
import { Table } from "../widgets/table";
import { clock } from "../words";

interface Deed {
  number: number;
  /** Seconds since 1970. */
  at: number;
  who: string;
  from: string;
  what: string;
  status: number;
  times: number;
}

/** Of one answer. */
const PAGE = 100;

export function Audit() {
  const [deeds, setDeeds] = useState<Deed[]>([]);
  const [more, setMore] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const ask = useCallback(async (after: Deed[]) => {
    const last = after.at(-1);
    const before = last ? `&before=${last.number}` : "";
    const { error, answer } = await send("GET", `api/audit?limit=${PAGE}${before}`);
    setError(error);
    if (error !== null) return;
    const older = (answer as Deed[]).reverse();
    setDeeds([...after, ...older]);
    setMore(older.length === PAGE);
  }, []);
  useEffect(() => {
    ask([]);
  }, [ask]);
  return (
    <section class="card" aria-labelledby="audit">
      <h2 id="audit">What was done</h2>
      <div role="alert">{error && <p class="error">{error}</p>}</div>
      <p class="buttons">
        <button type="button" onClick={() => ask([])}>
          Show the newest
        </button>
      </p>
      <Table label="Acts, the newest first" head={["When", "Who", "From", "What", "Became of it"]}>
        {deeds.map((deed) => (
          <tr key={deed.number}>
            <td>{clock(deed.at)}</td>
            <td>{deed.who}</td>
            <td>{deed.from}</td>
            <td>{deed.times > 1 ? `${deed.what} (${deed.times} times)` : deed.what}</td>
            <td>{deed.status < 300 ? "done" : `refused (${deed.status})`}</td>
          </tr>
        ))}
      </Table>
      {more && (
        <p class="buttons">
          <button type="button" onClick={() => ask(deeds)}>
            Show more
          </button>
        </p>
      )}
    </section>
  );
}

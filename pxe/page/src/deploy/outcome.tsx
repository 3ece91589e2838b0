// What became of an order, as the server answered it.

import type { Room } from "../live/types";
import { Names } from "../widgets/names";
import type { Acted } from "./order";

export function Outcome({ acted, room }: { acted: Acted; room: Room }) {
  const said = new Map<string, string[]>();
  for (const { id, what } of acted.machines) said.set(what, [...(said.get(what) ?? []), id]);
  const refused = new Set(acted.machines.filter(({ done }) => !done).map(({ what }) => what));
  return (
    <section class="card" aria-label="Ordered">
      <h2>{refused.size > 0 ? "Ordered, but not of all" : "Ordered"}</h2>
      <ul>
        {[...said].map(([what, ids]) => (
          <li key={what} class={refused.has(what) ? "error" : ""}>
            <Names room={room} ids={ids} />: {what}
          </li>
        ))}
        {acted.unknown.map((name) => (
          <li key={name} class="error">
            {name}: no machine is called so
          </li>
        ))}
      </ul>
    </section>
  );
}

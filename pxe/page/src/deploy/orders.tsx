// What was ordered beside ezio.conf and has not ended.

import { ActButtons } from "../acts/button";
import type { Machine, Room } from "../live/types";
import { Names } from "../widgets/names";
import { count } from "../words";
import { inWords } from "./wish";

export function Orders({ room, mayAct }: { room: Room; mayAct: boolean }) {
  const orders = new Map<string, Machine[]>();
  for (const machine of Object.values(room.machines)) {
    if (!machine.order) continue;
    const what = `${machine.order.source}: ${inWords(machine.order)}`;
    orders.set(what, [...(orders.get(what) ?? []), machine]);
  }
  return (
    <section class="card" aria-labelledby="orders">
      <h2 id="orders">Ordered, not ended</h2>
      {orders.size === 0 && <p class="dim">Nothing is ordered beside ezio.conf.</p>}
      <ul class="rows">
        {[...orders].map(([what, machines]) => (
          <li key={what}>
            <p>
              <b>{count(machines.length, "machine")}</b> by {what}
            </p>
            <p>
              <Names room={room} ids={machines.map(({ id }) => id)} />
            </p>
            <ActButtons machines={machines} mayAct={mayAct} acts={["cancel"]} />
          </li>
        ))}
      </ul>
    </section>
  );
}

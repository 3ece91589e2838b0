// The room: how far it is, what needs somebody, and all machines.

import { useMemo } from "preact/hooks";
import { ActButtons } from "../acts/button";
import { serverNow } from "../live/connection";
import type { Room } from "../live/types";
import { useKept } from "../widgets/kept";
import { count } from "../words";
import { EVERYTHING, filtered, inOrder } from "./filter";
import { Problems } from "./problem-list";
import { problemsOf } from "./problems";
import { SeatMap } from "./seats";
import { Summary } from "./summary";
import { MachineTable } from "./table";
import { Tiles } from "./tiles";
import { type Arrangement, Toolbar } from "./toolbar";

export function RoomView({ room, mayAct }: { room: Room; mayAct: boolean }) {
  const [filter, setFilter] = useKept("filter", EVERYTHING);
  const [arrangement, setArrangement] = useKept<Arrangement>("arrangement", "tiles");
  const now = serverNow();
  const machines = useMemo(() => inOrder(room.machines), [room.machines]);
  const shown = useMemo(() => filtered(machines, filter), [machines, filter]);
  const problems = problemsOf(machines, now);
  if (machines.length === 0) {
    return (
      <>
        <h1>Room</h1>
        <p>
          No machine has been heard of yet. Start one from the network: it appears here when it asks for something to
          boot.
        </p>
      </>
    );
  }
  return (
    <>
      <h1 class="hidden">Room</h1>
      <Summary room={room} machines={machines} now={now} filter={filter} onFilter={setFilter} />
      <Problems problems={problems} mayAct={mayAct} />
      <section aria-label="Machines">
        <Toolbar
          room={room}
          filter={filter}
          onFilter={setFilter}
          arrangement={arrangement}
          onArrangement={setArrangement}
        />
        <div class="buttons">
          <p class="dim" role="status">
            {shown.length === machines.length
              ? count(machines.length, "machine")
              : `${shown.length} of ${count(machines.length, "machine")}`}
          </p>
          <ActButtons machines={shown} mayAct={mayAct} />
        </div>
        {arrangement === "tiles" && <Tiles machines={shown} now={now} />}
        {arrangement === "table" && <MachineTable machines={shown} now={now} />}
        {arrangement === "seats" && <SeatMap machines={shown} seats={room.seats} mayAct={mayAct} now={now} />}
      </section>
    </>
  );
}
